package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
)

func (c *command) projectStartCommand() *cobra.Command {
	var req client.BuildRequest
	var detach bool
	cmd := &cobra.Command{
		Use:   "start NAME",
		Short: "Start a build of a project and follow its log",
		Example: `  towline project start web
  towline project start web --version release/1.4 --env TARGET=staging
  towline project start web --batch
  towline project start web --detach -o json`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			b, err := api.StartBuild(cmd.Context(), args[0], req)
			if err != nil {
				return err
			}
			return c.followBuild(cmd.Context(), api, b, detach)
		},
	}
	cmd.Flags().StringVar(&req.Version, "version", "", "branch, tag or commit of the source, default what the project names")
	cmd.Flags().StringToStringVar(&req.Env, "env", nil, "environment variable of this build, NAME=VALUE; may be repeated")
	cmd.Flags().BoolVar(&req.Batch, "batch", false, "run the builds of the buildspec's batch; the log says which they are")
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "start it and return at once")
	return cmd
}

// followBuild shows a build's log to its end, and makes its failure the
// command's.
func (c *command) followBuild(ctx context.Context, api *client.Client, b client.Build, detach bool) error {
	if !detach {
		if err := c.copyBuildLog(ctx, api, b.ID, true, c.Err); err != nil {
			return err
		}
		var err error
		if b, err = api.Build(ctx, b.ID); err != nil {
			return err
		}
	}
	return c.buildOutcome(b)
}

// buildOutcome prints a build as the result of a command, and makes its failure
// the command's.
func (c *command) buildOutcome(b client.Build) error {
	if c.output == "json" {
		if err := c.printJSON(b); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(c.Out, "%s  %s  %s\n", b.ID, stateOf(b), lasted(b)); err != nil {
		return err
	}
	if b.Done() && b.Status != client.BuildSucceeded {
		for line := range strings.Lines(b.Message) {
			fmt.Fprintln(c.Err, printable(strings.TrimRight(line, "\n")))
		}
		return exitCode(exitFailed)
	}
	return nil
}

func (c *command) copyBuildLog(ctx context.Context, api *client.Client, id string, follow bool, out io.Writer) error {
	log, err := api.BuildLog(ctx, id, follow)
	if err != nil {
		return err
	}
	defer log.Close()
	if _, person := terminal(out); person {
		out = printableLines{out}
	}
	for lines := bufio.NewReader(log); ; {
		line, end := lines.ReadString('\n')
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
		switch {
		case errors.Is(end, io.EOF):
			return nil
		case errors.Is(end, io.ErrUnexpectedEOF):
			return fmt.Errorf("the log of build %s broke off: the server may have been restarted; go on with: towline project logs -f %s", id, id)
		case end != nil:
			return end
		}
	}
}

func (c *command) projectStopCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stop BUILD", Short: "Stop a build", Example: "  towline project stop web:3f9c2e1a-0b5d-4c1e-9c59-0c9e3f1f7a11", Args: exactly("BUILD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			b, err := api.StopBuild(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.printJSON(b)
			}
			_, err = fmt.Fprintf(c.Out, "build %s is stopped\n", b.ID)
			return err
		},
	}
}

func (c *command) projectRetryCommand() *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use: "retry BUILD", Short: "Do a build again, of the same commit", Example: "  towline project retry web:3f9c2e1a-0b5d-4c1e-9c59-0c9e3f1f7a11", Args: exactly("BUILD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			b, err := api.RetryBuild(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.followBuild(cmd.Context(), api, b, detach)
		},
	}
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "start it and return at once")
	return cmd
}

func (c *command) projectLogsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "logs NAME|BUILD", Short: "Print the log of a build, or of a project's newest one", Args: exactly("NAME|BUILD"),
		Example: "  towline project logs web\n  towline project logs -f web:3f9c2e1a-0b5d-4c1e-9c59-0c9e3f1f7a11",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			id := args[0]
			if !strings.Contains(id, ":") {
				newest, err := api.Builds(cmd.Context(), id, 1)
				if err != nil {
					return err
				}
				if len(newest) == 0 {
					return fmt.Errorf("project %s: %w %s", id, errNoBuild, id)
				}
				id = newest[0].ID
			}
			return c.copyBuildLog(cmd.Context(), api, id, follow, c.Out)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the build has ended")
	return cmd
}
