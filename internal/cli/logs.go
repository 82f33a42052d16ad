package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) logsCommand() *cobra.Command {
	var follow bool
	var search search
	cmd := &cobra.Command{
		Use:   "logs PIPELINE|EXECUTION [ACTION]",
		Short: "Print the logs of an execution, or of one action of it, or search in them",
		Example: `  towline logs web            all actions of the last execution
  towline logs web-2 unit     one action of the second
  towline logs -f web         follow the last one to its end
  towline logs web --grep "connection refused" --last 20`,
		Args: between(1, "PIPELINE|EXECUTION", "ACTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := find(cmd.Context(), api, args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("grep") || cmd.Flags().Changed("last") {
				search.api, search.only = api, args[1:]
				return c.grep(cmd, search, e)
			}
			if follow && len(args) == 1 {
				if e, err = c.follow(cmd.Context(), api, e.ID); err != nil {
					return err
				}
				return c.outcome(e)
			}
			return c.printLogs(cmd, api, e, args[1:], follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the end")
	cmd.Flags().StringVar(&search.text, "grep", "", "print only lines with this text, in capitals or not")
	cmd.Flags().IntVar(&search.last, "last", 1, "with --grep: how many executions are searched, this one and those before, up to 200")
	cmd.MarkFlagsMutuallyExclusive("follow", "grep")
	return cmd
}

// printLogs prints the logs of the actions that have started, or of the one
// named.
func (c *command) printLogs(cmd *cobra.Command, api *client.Client, e client.Execution, only []string, follow bool) error {
	found := false
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if len(only) > 0 && a.Name != only[0] {
				continue
			}
			found = true
			if a.Status == pipeline.StatusPending {
				continue
			}
			if len(only) == 0 {
				fmt.Fprintf(c.Err, "==> %s/%s %s\n", s.Name, a.Name, a.Status)
			}
			ref := client.ActionRef{Execution: e.ID, Stage: s.Name, Attempt: s.Attempt, Action: a.Name}
			if err := c.copyLog(cmd, api, ref, follow); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("execution %s has no action %q", e.ID, only[0])
	}
	return nil
}

func (c *command) copyLog(cmd *cobra.Command, api *client.Client, ref client.ActionRef, follow bool) error {
	if follow {
		return api.Follow(cmd.Context(), ref, c.logOut())
	}
	log, err := api.Log(cmd.Context(), ref, 0, false)
	if err != nil {
		return err
	}
	defer log.Close()
	return eachLine(log, func(line string) error {
		_, err := io.WriteString(c.logOut(), line)
		return err
	})
}

// logOut is where lines of logs are printed.
func (c *command) logOut() io.Writer {
	if _, person := terminal(c.Out); person {
		return printableLines{c.Out}
	}
	return c.Out
}

// eachLine shows the lines of a log, each with its newline.
func eachLine(log io.Reader, show func(line string) error) error {
	for lines := bufio.NewReader(log); ; {
		line, end := lines.ReadString('\n')
		if line != "" {
			if err := show(line); err != nil {
				return err
			}
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

// printableLines passes whole lines on to a terminal, which they must not steer.
// A pipe gets what the build has written.
type printableLines struct{ out io.Writer }

var _ io.Writer = printableLines{}

func (p printableLines) Write(lines []byte) (int, error) {
	for line := range strings.Lines(string(lines)) {
		text, ended := strings.CutSuffix(line, "\n")
		text = printable(strings.TrimSuffix(text, "\r"))
		if ended {
			text += "\n"
		}
		if _, err := io.WriteString(p.out, text); err != nil {
			return 0, err
		}
	}
	return len(lines), nil
}
