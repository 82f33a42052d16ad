package cli

import (
	"cmp"
	"context"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) promoteCommand() *cobra.Command {
	return c.decisionCommand(&cobra.Command{
		Use:   "promote APP",
		Short: "Let the requests move to a deployment that waits for approval",
		Long: `Let the requests move to the new pods of a deployment that waits for approval.
The decision is written to the cluster, and the deployment goes on at once,
wherever it runs; when its process is gone, it is carried to its end from here.
Neither git nor a server is needed. The first decision counts: whoever decides
later is told what was decided, by whom and when.`,
		Example: `  towline promote web
  towline promote web --revision 7 --leave`,
	}, (*deploy.Deployer).Promote)
}

// decisionCommand is a command that decides about a deployment under way.
func (c *command) decisionCommand(cmd *cobra.Command, decide func(*deploy.Deployer, context.Context, deploy.DecideRequest) (pipeline.Deployment, error)) *cobra.Command {
	var where place
	request := deploy.DecideRequest{By: person()}
	cmd.Args = exactly("APP")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		deployer, err := where.deployer()
		if err != nil {
			return err
		}
		request.App, request.Log = args[0], printableLines{c.Err}
		if request.Namespace, err = where.namespaceOf(cmd.Context(), deployer, args[0]); err != nil {
			return err
		}
		defer c.stopOnce(cmd.Context())()
		d, err := decide(deployer, cmd.Context(), request)
		if err != nil {
			return err
		}
		if request.Leave {
			return nil
		}
		return c.deployed(d)
	}
	where.flags(cmd)
	agentFlag(cmd, &where.agent)
	cmd.Flags().IntVar(&request.Revision, "revision", 0, "revision to decide about, default the one under way")
	cmd.Flags().StringVar(&request.Reason, "reason", "", "why, for the record")
	cmd.Flags().BoolVar(&request.Leave, "leave", false, "do not wait for the end of the deployment; one whose process is gone is not taken up then")
	return cmd
}

// person is who runs this program, as the machine knows them.
func person() string {
	name := cmp.Or(os.Getenv("SUDO_USER"), os.Getenv("USER"))
	if account, err := user.Current(); err == nil && name == "" {
		name = account.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	return cmp.Or(name, "somebody") + "@" + host
}
