package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [PIPELINE|EXECUTION]",
		Short: "Show an execution, by default the last one of each pipeline",
		Example: `  towline status
  towline status web      the last execution of pipeline web
  towline status web-2    its second execution`,
		Args: between(0, "PIPELINE|EXECUTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.listPipelines(cmd)
			}
			e, err := find(cmd.Context(), api, args[0])
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(e)
			}
			fmt.Fprintln(c.Out, strings.Join(append(showExecution(e, time.Now(), 0), failures(e)...), "\n"))
			return nil
		},
	}
}

// find gets the execution of that ID, or the last one of the pipeline of that
// name.
func find(ctx context.Context, api *client.Client, name string) (client.Execution, error) {
	e, err := api.Execution(ctx, name)
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Status != http.StatusNotFound {
		return e, err
	}
	last, err := api.Executions(ctx, name, 0, 1)
	switch {
	case errors.As(err, &answer) && answer.Status == http.StatusNotFound:
		return e, fmt.Errorf("there is no pipeline and no execution %q: see \"towline pipeline list\"", name)
	case err != nil:
		return e, err
	case len(last) == 0:
		return e, fmt.Errorf("pipeline %s has not run yet: push a commit, or \"towline run %s\"", name, name)
	}
	return last[0], nil
}
