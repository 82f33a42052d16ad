package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) retryCommand() *cobra.Command {
	var all, detach bool
	cmd := &cobra.Command{
		Use:   "retry PIPELINE|EXECUTION [STAGE]",
		Short: "Run the stage that has failed again, in the same execution",
		Long: `Run the stage that has failed, or was stopped, again: in the same execution,
with the artifacts that it has, and follow it. By default the actions that have
succeeded are left as they are.`,
		Example: `  towline retry web
  towline retry web-7 Deploy --all`,
		Args: between(1, "PIPELINE|EXECUTION", "STAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := find(cmd.Context(), api, args[0])
			if err != nil {
				return err
			}
			req := client.RetryRequest{Mode: pipeline.RetryFailedActions}
			if all {
				req.Mode = pipeline.RetryAllActions
			}
			if req.Stage, err = brokenStage(e, args[1:]); err != nil {
				return err
			}
			if e, err = api.Retry(cmd.Context(), e.ID, req); err != nil {
				return err
			}
			if !detach {
				if e, err = c.follow(cmd.Context(), api, e.ID); err != nil {
					return err
				}
			}
			return c.outcome(e)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "run all actions of the stage, also those that succeeded")
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "start it and return at once")
	return cmd
}

// brokenStage is the stage that is meant, or the one in which the execution
// ended.
func brokenStage(e client.Execution, named []string) (string, error) {
	if len(named) > 0 {
		return named[0], nil
	}
	for _, s := range e.Stages {
		if s.Status == pipeline.StatusFailed || s.Status == pipeline.StatusStopped {
			return s.Name, nil
		}
	}
	return "", fmt.Errorf("%s is %s: no stage of it has failed or was stopped", e.ID, e.Status)
}
