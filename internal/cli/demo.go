package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// demoRate is the load that the demo puts on the application while it is
// released, in requests per second, besides what the deployment itself sends.
const demoRate = 100

// demo is one run of the demo.
type demo struct {
	command    *command
	kubeconfig string
	context    string
	registry   string
	listen     string
	example    string
	once       bool

	api    *client.Client
	traces traces
	pushed time.Time
}

func (c *command) demoCommand() *cobra.Command {
	d := &demo{command: c}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See the whole of it: from git push to a running release, and no request lost",
		Long: `See the whole of it. The demo brings up a local Kubernetes (or uses the cluster
you name), starts a server, creates a repository from an example application,
pushes a first commit and then, under load, a second one, and shows how each
becomes a running release. The cluster and the server stay up to play with;
"towline demo down" removes every trace.

Run again, it pushes one more commit.`,
		Example: `  towline demo
  towline demo --once -o json
  towline demo --context my-cluster --registry ghcr.io/acme
  towline demo down`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&d.kubeconfig, "kubeconfig", "", "with --context: kubeconfig file, default the usual one")
	flags.StringVar(&d.context, "context", "", "use this context's cluster instead of a local one")
	flags.StringVar(&d.registry, "registry", "", "with --context: registry that the cluster can pull from, such as ghcr.io/acme")
	flags.StringVar(&d.listen, "listen", config.DefaultListen, "address of the demo's server")
	flags.StringVar(&d.example, "example", "", "directory of the example application, default examples/go-web of the source tree")
	flags.BoolVar(&d.once, "once", false, "for scripts: no advice at the end")
	cmd.AddCommand(&cobra.Command{
		Use: "down", Short: "Stop the demo's server and cluster and remove every trace of them",
		Example: "  towline demo down", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.demoDown(cmd.Context()) },
	})
	return cmd
}

// demoData is the data directory of the demo's server.
func demoData(data string) string { return filepath.Join(data, "demo") }

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.command.Err, "\n» "+format+"\n", args...)
}

func (d *demo) run(ctx context.Context) error {
	if (d.context == "") != (d.registry == "") {
		return usageError{errors.New("--context and --registry go together: the cluster must be able to pull what is pushed")}
	}
	var err error
	if d.command.data, err = filepath.Abs(d.command.data); err != nil {
		return err
	}
	if err := os.MkdirAll(demoData(d.command.data), 0o700); err != nil {
		return err
	}
	if err := d.chooseCluster(ctx); err != nil {
		return err
	}
	if err := d.serverUp(ctx); err != nil {
		return err
	}
	tree, err := d.workingTree(ctx)
	if err != nil {
		return err
	}
	if tree.fresh {
		d.say("Push the first commit")
		first, err := d.release(ctx, tree)
		if err != nil {
			return err
		}
		if err := d.succeeded(first); err != nil {
			return err
		}
	}
	second, load, err := d.releaseUnderLoad(ctx, tree)
	if err != nil {
		return err
	}
	return d.report(second, load)
}

// chooseCluster brings the local cluster up, or takes the one that was named.
func (d *demo) chooseCluster(ctx context.Context) error {
	var err error
	if d.traces, err = loadTraces(d.command.data); err != nil {
		return err
	}
	if d.context == "" {
		if err := d.clusterUp(ctx); err != nil {
			return err
		}
	}
	first := d.traces.Kubeconfig == "" && d.traces.Context == ""
	d.traces.Kubeconfig, d.traces.Context = kubeconfig(d.kubeconfig), d.context
	if d.traces.Kubeconfig == "" {
		d.traces.Kubeconfig = os.Getenv("KUBECONFIG")
	}
	if first && !d.traces.OwnCluster {
		if d.traces.KeepNamespace, err = namespaceStands(ctx, d.traces); err != nil {
			return fmt.Errorf("look for namespace %s: %w", demoNamespace, err)
		}
	}
	return d.traces.save(d.command.data)
}

// release pushes what the working tree has committed and follows the
// execution.
func (d *demo) release(ctx context.Context, tree *workingTree) (client.Execution, error) {
	d.pushed = time.Now()
	commit, err := tree.push(ctx)
	if err != nil {
		return client.Execution{}, err
	}
	id, err := d.started(ctx, tree.repository, commit)
	if err != nil {
		return client.Execution{}, err
	}
	return d.command.follow(ctx, d.api, id)
}

// started finds the execution that a push has started. The push's hook starts
// it before the push returns.
func (d *demo) started(ctx context.Context, name, commit string) (string, error) {
	last, err := d.api.Executions(ctx, name, 0, 1)
	if err != nil {
		return "", err
	}
	if len(last) == 0 || last[0].Revision.Commit != commit {
		return "", fmt.Errorf("the push of %.7s started no execution: see %s", commit, filepath.Join(demoData(d.command.data), "server.log"))
	}
	return last[0].ID, nil
}

// releaseUnderLoad changes the application and releases it while it is used.
func (d *demo) releaseUnderLoad(ctx context.Context, tree *workingTree) (client.Execution, *pipeline.Verdict, error) {
	message, err := tree.change(ctx)
	if err != nil {
		return client.Execution{}, nil, err
	}
	url, err := d.applicationURL(ctx, tree.repository)
	if err != nil {
		return client.Execution{}, nil, err
	}
	if url == "" {
		d.say("Push %q; the deployment itself sends the load", message)
		e, err := d.release(ctx, tree)
		return e, nil, err
	}
	d.say("Push %q while %d requests per second go to %s", message, demoRate, url)
	prober, err := probe.Start(ctx, probe.Config{URL: url, Rate: demoRate})
	if err != nil {
		return client.Execution{}, nil, err
	}
	e, err := d.release(ctx, tree)
	load := prober.Stop()
	return e, &load, err
}

// applicationURL is where the last release of a pipeline said that it answers,
// or "".
func (d *demo) applicationURL(ctx context.Context, name string) (string, error) {
	last, err := d.api.Executions(ctx, name, 0, 20)
	for _, e := range last {
		if made := deployment(e); made != nil && made.URL != "" && made.Outcome == pipeline.Succeeded {
			return made.URL, nil
		}
	}
	return "", err
}

func (d *demo) succeeded(e client.Execution) error {
	if e.Status == pipeline.ExecutionSucceeded {
		return nil
	}
	for _, line := range failures(e) {
		fmt.Fprintln(d.command.Err, line)
	}
	return exitCode(exitFailed)
}
