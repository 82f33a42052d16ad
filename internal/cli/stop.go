package cli

import (
	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) stopCommand() *cobra.Command {
	var req client.StopRequest
	cmd := &cobra.Command{
		Use:   "stop PIPELINE|EXECUTION",
		Short: "Stop an execution: once what is in progress has ended, or at once",
		Long: `Stop an execution. What is in progress is waited for and nothing else begins;
with --abandon it is interrupted, also when the execution is stopping already.
With a pipeline's name it is the last execution that has not ended.
"towline retry" goes on where it stopped.`,
		Example: `  towline stop web-7 --reason "wrong branch"
  towline stop web --abandon`,
		Args: exactly("PIPELINE|EXECUTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := findUnfinished(cmd.Context(), api, args[0], unfinished)
			if err != nil {
				return err
			}
			if e, err = api.Stop(cmd.Context(), e.ID, req); err != nil {
				return err
			}
			return c.did(e, "%s is %s", e.ID, e.Status)
		},
	}
	cmd.Flags().BoolVar(&req.Abandon, "abandon", false, "interrupt what is in progress")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the record")
	return cmd
}
