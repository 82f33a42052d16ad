package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) logsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs PIPELINE|EXECUTION [ACTION]",
		Short: "Print the logs of an execution, or of one action of it",
		Example: `  towline logs web            all actions of the last execution
  towline logs web-2 unit     one action of the second
  towline logs -f web         follow the last one to its end`,
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
		return api.Follow(cmd.Context(), ref, c.Out)
	}
	log, err := api.Log(cmd.Context(), ref, 0, false)
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = io.Copy(c.Out, log)
	return err
}
