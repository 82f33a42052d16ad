package cli

import (
	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) rollbackStageCommand() *cobra.Command {
	var target string
	var detach bool
	cmd := &cobra.Command{
		Use:   "rollback-stage PIPELINE STAGE",
		Short: "Run a stage with what an earlier execution had, and follow it",
		Long: `Run a stage with the revision, the variables and the artifacts of an execution
that has succeeded in it: by default the last one before that which the stage has
now. It is an execution of its own, of that stage alone. To bring an application back without a server,
see "towline rollback".`,
		Example: `  towline rollback-stage web Deploy
  towline rollback-stage web Deploy --to web-5`,
		Args: exactly("PIPELINE", "STAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			e, err := api.RollBack(cmd.Context(), args[0], args[1], client.RollbackRequest{Target: target})
			if err != nil {
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
	cmd.Flags().StringVar(&target, "to", "", "execution to go back to, default the last one that succeeded in the stage before the present one")
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "start it and return at once")
	return cmd
}
