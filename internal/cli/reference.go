package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// referenceCommand prints the page of all commands that docs/reference.md is.
func (c *command) referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reference", Hidden: true, Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(c.Out, "# Commands\nMade by `make generate` from the program itself.\n\n%s\n", cmd.Root().Long)
			fmt.Fprintf(c.Out, "\nFlags of all commands:\n```\n%s```\n", neutral(cmd.Root().PersistentFlags().FlagUsages()))
			describeCommands(c.Out, cmd.Root())
			return nil
		},
	}
}

// describeCommands writes a section for each command that does something, depth
// first.
func describeCommands(w io.Writer, parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		if cmd.Runnable() {
			describeCommand(w, cmd)
		}
		describeCommands(w, cmd)
	}
}

func describeCommand(w io.Writer, cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(w, "\n## %s\n%s\n```\n%s\n", cmd.CommandPath(), about, cmd.UseLine())
	if flags := cmd.NonInheritedFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(w, "\n%s", neutral(flags))
	}
	fmt.Fprint(w, "```\n")
	if cmd.Example != "" {
		fmt.Fprintf(w, "For example:\n```\n%s\n```\n", strings.TrimRight(cmd.Example, "\n"))
	}
}

// neutral replaces the defaults that depend on who runs the program.
func neutral(usages string) string {
	var kept []string
	for line := range strings.Lines(usages) {
		if strings.Contains(line, "--data ") {
			line, _, _ = strings.Cut(line, " (default ")
			line = strings.TrimRight(line, "\n") + "\n"
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "")
}
