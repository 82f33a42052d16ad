package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
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
	agent      string // reference of the agent's image; see agentFlag
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
	return newDeployer(cluster, p.agent), nil
}

// agentFlag is for commands that may need a pod of their own in the cluster.
func agentFlag(cmd *cobra.Command, image *string) {
	cmd.Flags().StringVar(image, "agent-image", os.Getenv("TOWLINE_AGENT_IMAGE"), "image of the agent, as towline agent push has printed it: for requests from a pod and for the draining proxy (TOWLINE_AGENT_IMAGE)")
}

// newDeployer is a deployer without a server, for a process that does one thing
// and ends. Such a process takes memory for time: with 1,000 objects it is 40 MB
// more for a quarter less of the processor. Whoever sets GOGC has it otherwise.
func newDeployer(cluster *kube.Cluster, agentImage string) *deploy.Deployer {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	config := deploy.Config{Cluster: cluster}
	if agentImage != "" {
		config.AgentImage = func(context.Context) (string, error) { return agentImage, nil }
	}
	return deploy.New(config)
}

// application is one that the cluster's journals know.
type application struct{ namespace, name string }

// applications are the one that is named, or all that the journals know.
func (p *place) applications(ctx context.Context, deployer *deploy.Deployer, args []string) ([]application, error) {
	if len(args) > 0 {
		namespace, err := p.namespaceOf(ctx, deployer, args[0])
		return []application{{namespace, args[0]}}, err
	}
	history, err := deployer.History(ctx, p.namespace, "")
	if err != nil {
		return nil, err
	}
	var found []application
	for _, d := range history {
		if one := (application{d.Namespace, d.App}); d.Outcome == pipeline.Succeeded && !slices.Contains(found, one) {
			found = append(found, one)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("the cluster's journals have no deployment that has succeeded: see \"towline deployments\"")
	}
	slices.SortFunc(found, func(a, b application) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
	})
	return found, nil
}

// namespaceOf is the namespace that is named, else the one where the journals
// have the application.
func (p *place) namespaceOf(ctx context.Context, deployer *deploy.Deployer, app string) (string, error) {
	if p.namespace != "" {
		return p.namespace, nil
	}
	return deployer.Namespace(ctx, app)
}

// named is the one application that an argument or a flag names.
func named(args []string, flag string) (string, error) {
	given := strings.Join(args, "")
	switch {
	case given != "" && flag != "" && given != flag:
		return "", usageError{fmt.Errorf("two applications are named, %s and %s: name one", given, flag)}
	case given != "":
		return given, nil
	}
	return flag, nil
}

func (c *command) deploymentsCommand() *cobra.Command {
	var where place
	var app string
	cmd := &cobra.Command{
		Use:   "deployments [APP]",
		Short: "List the deployments of an application, newest first, from the cluster's own journal",
		Example: `  towline deployments
  towline deployments web --namespace web --context production`,
		Args: between(0, "APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			app, err := named(args, app)
			if err != nil {
				return err
			}
			deployer, err := where.deployer()
			if err != nil {
				return err
			}
			found, err := deployer.History(cmd.Context(), where.namespace, app)
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
	cmd.Flags().StringVar(&app, "app", "", "application, default all")
	return cmd
}

func (c *command) printDeployments(found []pipeline.Deployment) error {
	var rows [][]string
	for _, d := range found {
		outcome := string(d.Outcome)
		switch {
		case d.Reverted:
			outcome += ", reverted"
		case d.Waiting:
			outcome = "waits for approval"
		case outcome == "":
			outcome = "under way"
		case d.Outcome == pipeline.Succeeded && d.Message != "":
			outcome = d.Message
		}
		verdict := "-"
		if d.Verdict != nil {
			counted := *d.Verdict
			counted.Partial = "" // long, and in the JSON
			verdict = counted.String()
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
	var app string
	var request deploy.RollbackRequest
	cmd := &cobra.Command{
		Use:   "rollback [APP]",
		Short: "Bring back an earlier revision of an application, from the cluster's own journal",
		Long: `Bring back an earlier revision of an application, manifests and configuration
as they were, without git, build or server. It is a deployment like any other:
with a number of its own, the same waits, and a verdict.`,
		Example: `  towline rollback web              to the revision before the present one
  towline rollback web --to 7`,
		Args: between(0, "APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if request.App, err = named(args, app); err != nil {
				return err
			}
			if request.App == "" {
				return usageError{fmt.Errorf("APP is missing: %s", cmd.UseLine())}
			}
			deployer, err := where.deployer()
			if err != nil {
				return err
			}
			if request.Namespace, err = where.namespaceOf(cmd.Context(), deployer, request.App); err != nil {
				return err
			}
			request.Log = printableLines{c.Err}
			defer c.stopOnce(cmd.Context())()
			d, err := deployer.Rollback(cmd.Context(), request)
			if err != nil {
				return c.interrupted(cmd.Context(), d, err, "begins anew, as a revision of its own")
			}
			return c.deployed(d)
		},
	}
	where.flags(cmd)
	agentFlag(cmd, &where.agent)
	flags := cmd.Flags()
	flags.StringVar(&app, "app", "", "application, instead of the argument")
	flags.IntVar(&request.To, "to", 0, "revision to bring back, default the previous one")
	flags.StringVar(&request.Method, "method", "", "how changes are written: api or kubectl, default as the running revision was")
	flags.StringVar(&request.Timeout, "timeout", "", "longest the rollback may take, default as the running revision's")
	flags.BoolVar(&request.Verify.Off, "no-verify", false, "send no requests: the rollback then has no verdict")
	return cmd
}

// deployed prints a deployment as the result of a command.
func (c *command) deployed(d pipeline.Deployment) error {
	if c.output == "json" {
		if err := c.printJSON(d); err != nil {
			return err
		}
	} else {
		name := fmt.Sprintf("%s revision %d", d.App, d.Revision)
		if d.Revision == 0 {
			name = d.App + ", nothing changed" // It was refused before it got a revision.
		}
		fmt.Fprintf(c.Out, "%s: %s in %.1fs\n", name, d.Outcome, d.Seconds)
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
