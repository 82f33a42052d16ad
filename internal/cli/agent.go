package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/agent"
)

// agentCommand is what this program is inside a cluster's pods. Deployments and
// builds make those; a person needs push at most.
func (c *command) agentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "agent", Hidden: true,
		Short: "What deployments and builds run in pods, and the image of it",
	}
	cmd.AddCommand(c.agentProberCommand(), c.agentDrainCommand(), c.agentPushCommand(), c.agentBuildCommand(), c.agentInstallCommand())
	return cmd
}

func (c *command) agentProberCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "prober",
		Short: "Send requests, count what is lost and tell who asks",
		Long: `Send the requests of the task in TOWLINE_PROBE_TASK, else on standard input.
Reports are written to standard output as lines of JSON, and told over HTTP to
whoever knows the task's token. It ends when nobody has asked for 15 minutes.`,
		Example: `  towline agent prober --listen :10250`,
		Args:    between(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			task := []byte(os.Getenv(agent.TaskVariable))
			if len(task) == 0 {
				const most = 1 << 20
				var err error
				if task, err = io.ReadAll(io.LimitReader(c.In, most)); err != nil {
					return fmt.Errorf("read the prober's task: %w", err)
				}
			}
			return agent.Prober(cmd.Context(), agent.ProberConfig{
				Task: task, Listen: listen, Out: c.Out, Logger: slog.New(slog.NewJSONHandler(c.Err, nil)),
			})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:10250", "address to answer on")
	return cmd
}

func (c *command) agentPushCommand() *cobra.Command {
	var target agent.Target
	cmd := &cobra.Command{
		Use:   "push REFERENCE",
		Short: "Push the image for pods, which is this program alone, and print its digest",
		Long: `Push the image that deployments need for pods of their own: the prober inside
the cluster (verify.from: pod) and the draining proxy (drain: proxy). It holds
this program and nothing else. A server does this by itself.`,
		Example: `  towline agent push ghcr.io/acme/towline-agent
  towline agent push registry:5000/towline-agent --insecure
  towline agent push ghcr.io/acme/towline-agent --executable towline-amd64 --executable towline-arm64`,
		Args: exactly("REFERENCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			target.Reference = args[0]
			target.Progress = func(line string) { fmt.Fprintln(c.Err, line) }
			reference, err := agent.Publish(cmd.Context(), target)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(map[string]string{"image": reference})
			}
			fmt.Fprintln(c.Out, reference)
			return nil
		},
	}
	cmd.Flags().BoolVar(&target.Insecure, "insecure", false, "speak plain HTTP to the registry")
	cmd.Flags().StringArrayVar(&target.Executables, "executable", nil, "program for Linux, one for each architecture of the cluster; default this one")
	return cmd
}
