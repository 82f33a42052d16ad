package cli

import (
	"fmt"
	"os"

	"github.com/towline/towline/internal/deploy"
)

// printPreview prints what a deployment would do.
func (c *command) printPreview(p deploy.Preview) error {
	if c.output == "json" {
		return c.printJSON(p)
	}
	after := "the first one"
	if p.Previous > 0 {
		after = fmt.Sprintf("after revision %d", p.Previous)
	}
	fmt.Fprintf(c.Out, "plan for revision %d of %s in namespace %s of cluster %s: strategy %s, method %s, %s\n", p.Revision, p.App, p.Namespace, p.Cluster, p.Strategy, p.Method, after)
	if p.NewNamespace {
		fmt.Fprintf(c.Out, "  namespace %s is made first; as long as it is not there, the API server cannot be asked about what goes into it\n", p.Namespace)
	}
	for i, step := range p.Steps {
		fmt.Fprintf(c.Out, "  %3d   %s\n", i+1, printable(step))
	}
	c.printChanges(p.Objects)
	counts := map[string]int{}
	for _, o := range p.Objects {
		counts[o.Change]++
	}
	fmt.Fprintf(c.Out, "\n%d to create, %d to update, %d to delete, %d unchanged; nothing has been done\n", counts["create"], counts["update"], counts["delete"], p.Unchanged)
	return nil
}

// printChanges prints what is different in each object, coloured on a
// terminal.
func (c *command) printChanges(objects []deploy.ObjectChange) {
	_, coloured := terminal(c.Out)
	coloured = coloured && os.Getenv("NO_COLOR") == ""
	for _, o := range objects {
		line := fmt.Sprintf("%s %s", o.Change, o.Object)
		if o.Note != "" {
			line += ": " + o.Note
		}
		if o.Source != "" {
			line += "   " + o.Source
		}
		fmt.Fprintf(c.Out, "\n%s\n", paint(printable(line), "1", coloured))
		for _, line := range o.Diff {
			fmt.Fprintf(c.Out, "  %s\n", paint(printable(line), colourOf(line), coloured))
		}
	}
}

// colourOf is the terminal's colour of a line of a difference: what is new is
// green, what goes red, and where it is cyan.
func colourOf(line string) string {
	return map[byte]string{'+': "32", '-': "31", '@': "36"}[(line + " ")[0]]
}

func paint(text, colour string, coloured bool) string {
	if !coloured || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
