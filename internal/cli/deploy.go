package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

func (c *command) deployCommand() *cobra.Command {
	var flags deployFlags
	var exit bool
	cmd := &cobra.Command{
		Use:   "deploy -f PATH",
		Short: "Deploy manifests or a chart to a cluster, without a server",
		Long: `Deploy manifests or a chart to a cluster, without a server: what a deploy action
of a pipeline does, from this machine. The cluster keeps the journal, so that
"towline deployments", "rollback", "diff", "promote" and "abort" work on it too.
The log of what is done goes to standard error, the result to standard output.

Inside of a git repository the revision gets its commit, and a commit that is
older than the running one is refused. With -f - the manifests come from
standard input and the revision has no commit.

Ctrl-C stops where it is; the same command goes on there: an interrupted
revision of the same content is taken up, one of another content is closed as
failed and the new one deployed. "towline abort" brings back what was before.
A second Ctrl-C leaves at once.

--dry-run prints the plan and what would change in each object and does
nothing, not even make the namespace. With --exit-code it exits with 1 when
there would be changes, as git diff does, and with 2 when that cannot be said.`,
		Example: `  towline deploy -f k8s/ --image web=ghcr.io/acme/web@sha256:...
  towline deploy -f k8s/ --strategy blue-green --approval
  towline deploy --chart charts/web --values production.yaml --set-value replicas=3
  kustomize build . | towline deploy -f - --app web --dry-run`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if exit && !flags.dryRun {
				return usageError{errors.New("--exit-code goes with --dry-run")}
			}
			err := c.deploy(cmd, &flags, exit)
			if err != nil && exit {
				return c.cannotTell(err)
			}
			return err
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&exit, "exit-code", false, "with --dry-run: exit with 1 when there would be changes")
	return cmd
}

func (c *command) deploy(cmd *cobra.Command, flags *deployFlags, exit bool) error {
	request, clean, err := flags.request(cmd, c.In)
	if err != nil {
		return err
	}
	defer clean()
	cluster, err := kube.Connect(kubeconfig(flags.kubeconfig), flags.context)
	if err != nil {
		return err
	}
	deployer := newDeployer(cluster, flags.agent)
	request.Log = printableLines{c.Err}
	for _, note := range flags.notes {
		fmt.Fprintln(c.Err, note)
	}
	if flags.dryRun {
		preview, err := deployer.Preview(cmd.Context(), request)
		if err != nil {
			return err
		}
		err = c.printPreview(preview)
		changes := slices.ContainsFunc(preview.Objects, func(o deploy.ObjectChange) bool { return o.Change != "keep" })
		if err == nil && exit && changes {
			return exitCode(exitError)
		}
		return err
	}
	defer c.stopOnce(cmd.Context())()
	d, err := deployer.Deploy(cmd.Context(), request)
	if err != nil {
		return c.interrupted(cmd.Context(), d, err, "goes on where it stopped")
	}
	return c.deployed(d)
}

// stopOnce says what the first interrupt does, and lets the second one end the
// program.
func (c *command) stopOnce(ctx context.Context) (done func()) {
	stop := context.AfterFunc(ctx, func() {
		fmt.Fprintln(c.Err, "stopping where it is; once more leaves at once")
		signal.Reset(os.Interrupt, syscall.SIGTERM)
	})
	return func() { stop() }
}

// interrupted says how to go on with a deployment that was stopped, and what the
// same command does then.
func (c *command) interrupted(ctx context.Context, d pipeline.Deployment, err error, again string) error {
	if ctx.Err() == nil {
		return err
	}
	if d.Revision == 0 {
		fmt.Fprintln(c.Err, "stopped: nothing has been changed")
		return err
	}
	fmt.Fprintf(c.Err, "stopped in the middle of revision %d of %s: what is done stays.\n"+
		"  The same command %s.\n"+
		"  towline abort %s --namespace %s   brings back what was before\n", d.Revision, d.App, again, d.App, d.Namespace)
	return err
}

// cannotTell ends a comparison that could not be made with an exit code that
// does not mean a difference.
func (c *command) cannotTell(err error) error {
	if _, ok := errors.AsType[exitCode](err); ok {
		return err
	}
	return usageError{err}
}
