package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) executionsCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "executions PIPELINE",
		Short:   "List the executions of a pipeline, newest first",
		Example: `  towline executions web --limit 50`,
		Args:    exactly("PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			found, err := api.Executions(cmd.Context(), args[0], 0, limit)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(found)
			}
			table := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "EXECUTION\tSTATUS\tTRIGGER\tREVISION\tSTARTED\tTOOK")
			for _, e := range found {
				end := e.Ended
				if end.IsZero() {
					end = time.Now()
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s %s\t%s\t%s\n", e.ID, e.Status, e.Trigger.Type, e.Revision.Branch, e.Revision.Short(),
					e.Started.Local().Format(time.DateTime), clock(end.Sub(e.Started)))
			}
			return table.Flush()
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most, up to 200")
	return cmd
}

func unfinished(e client.Execution) bool { return !e.Done() }

// findUnfinished gets the execution of that ID, or the newest of the pipeline
// of that name for which ok holds, or its newest.
func findUnfinished(ctx context.Context, api *client.Client, name string, ok func(client.Execution) bool) (client.Execution, error) {
	e, err := find(ctx, api, name)
	if err != nil || e.ID == name || ok(e) {
		return e, err
	}
	const look = 50 // As many as may wait for each other.
	recent, err := api.Executions(ctx, name, 0, look)
	if err != nil {
		return e, err
	}
	for _, other := range recent {
		if ok(other) {
			return other, nil
		}
	}
	return e, nil
}

// did prints what a command has done to an execution.
func (c *command) did(e client.Execution, format string, args ...any) error {
	if c.output == "json" {
		return c.printJSON(e)
	}
	_, err := fmt.Fprintf(c.Out, format+"\n", args...)
	return err
}
