package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// place says where an application runs. The cluster itself keeps what the
// commands that use it need: no server takes part.
type place struct {
	kubeconfig string
	context    string
	namespace  string
}

func (p *place) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&p.kubeconfig, "kubeconfig", "", "kubeconfig file, default the usual one, else the local cluster's")
	flags.StringVar(&p.context, "context", "", "context of the kubeconfig, default its current one")
	flags.StringVarP(&p.namespace, "namespace", "n", "", "namespace, default the one where the journals have the application")
}

func (p *place) deployer() (*deploy.Deployer, error) {
	cluster, err := kube.Connect(kubeconfig(p.kubeconfig), p.context)
	if err != nil {
		return nil, err
	}
	return deploy.New(deploy.Config{Cluster: cluster}), nil
}

func (c *command) deploymentsCommand() *cobra.Command {
	var where place
	cmd := &cobra.Command{
		Use:   "deployments [APP]",
		Short: "List the deployments of an application, newest first, from the cluster's own journal",
		Example: `  towline deployments
  towline deployments web --namespace web --context production`,
		Args: between(0, "APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			deployer, err := where.deployer()
			if err != nil {
				return err
			}
			found, err := deployer.History(cmd.Context(), where.namespace, strings.Join(args, ""))
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(found)
			}
			return c.printDeployments(found)
		},
	}
	where.flags(cmd)
	return cmd
}

func (c *command) printDeployments(found []pipeline.Deployment) error {
	var rows [][]string
	for _, d := range found {
		outcome := string(d.Outcome)
		if d.Reverted {
			outcome += ", reverted"
		}
		verdict := "-"
		if d.Verdict != nil {
			verdict = d.Verdict.String()
		}
		rows = append(rows, []string{
			d.Namespace, d.App, fmt.Sprint(d.Revision), d.Started.Local().Format(time.DateTime), fmt.Sprintf("%.1fs", d.Seconds),
			outcome, d.Strategy, shorten(d.Commit, 8), verdict,
		})
	}
	return c.table([]string{"NAMESPACE", "APP", "REVISION", "STARTED", "TOOK", "OUTCOME", "STRATEGY", "COMMIT", "VERDICT"}, rows)
}

func (c *command) rollbackCommand() *cobra.Command {
	var where place
	var to int
	cmd := &cobra.Command{
		Use:   "rollback APP",
		Short: "Bring back an earlier revision of an application, from the cluster's own journal",
		Long: `Bring back an earlier revision of an application, manifests and configuration
as they were, without git, build or server. It is a deployment like any other:
with a number of its own, the same waits, and a verdict.`,
		Example: `  towline rollback web              to the revision before the present one
  towline rollback web --to 7`,
		Args: exactly("APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			deployer, err := where.deployer()
			if err != nil {
				return err
			}
			if where.namespace == "" {
				if where.namespace, err = deployer.Namespace(cmd.Context(), args[0]); err != nil {
					return err
				}
			}
			d, err := deployer.Rollback(cmd.Context(), deploy.RollbackRequest{
				App: args[0], Namespace: where.namespace, To: to, Log: c.Err,
			})
			if err != nil {
				return err
			}
			return c.deployed(d)
		},
	}
	where.flags(cmd)
	cmd.Flags().IntVar(&to, "to", 0, "revision to bring back, default the previous one")
	return cmd
}

// deployed prints a deployment as the result of a command.
func (c *command) deployed(d pipeline.Deployment) error {
	if c.output == "json" {
		if err := c.printJSON(d); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.Out, "%s revision %d: %s in %.1fs\n", d.App, d.Revision, d.Outcome, d.Seconds)
		if d.Verdict != nil {
			fmt.Fprintln(c.Out, d.Verdict)
		}
	}
	if d.Outcome == pipeline.Succeeded {
		return nil
	}
	for line := range strings.Lines(d.Message) {
		fmt.Fprintln(c.Err, printable(strings.TrimRight(line, "\r\n")))
	}
	return exitCode(exitFailed)
}
