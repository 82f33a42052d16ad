package cli

import (
	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/deploy"
)

func (c *command) abortCommand() *cobra.Command {
	return c.decisionCommand(&cobra.Command{
		Use:   "abort APP",
		Short: "Stop a deployment under way and bring back what was there before it",
		Long: `Stop a deployment that is under way, or that was interrupted, and bring back what
was there before it. The decision is written to the cluster, and the deployment
stops within a second or two, wherever it runs; when its process is gone, the
revert is carried out from here. A deployment that has ended is not aborted but
rolled back: see "towline rollback".

The revert is waited for. It exits with 3, for the deployment has not
succeeded.`,
		Example: `  towline abort web
  towline abort web --reason "wrong ticket"`,
	}, (*deploy.Deployer).Abort)
}
