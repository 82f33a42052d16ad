package cli

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/phases"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/dockerfile/enclosure"
	"github.com/towline/towline/internal/function"
	"github.com/towline/towline/internal/manifest/renderer"
	"github.com/towline/towline/internal/source"
)

// hookCommand is what git's post-receive hook runs.
func (c *command) hookCommand() *cobra.Command {
	return &cobra.Command{
		Use: "hook post-receive", Hidden: true, Args: exactly("post-receive"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exited(source.HookMain(cmd.Context(), c.In, c.Out))
		},
	}
}

// gitCredentialCommand is a credential helper for git: it gives the token of
// the server that the command line finds, and keeps nothing.
func (c *command) gitCredentialCommand() *cobra.Command {
	return &cobra.Command{
		Use: "git-credential OPERATION", Hidden: true, Args: exactly("OPERATION"),
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] != "get" {
				return nil
			}
			endpoint, token, err := config.ReadEndpoint(c.data)
			if err != nil {
				endpoint, token, err = config.ReadEndpoint(demoData(c.data))
			}
			if err != nil {
				return err
			}
			asked, err := io.ReadAll(io.LimitReader(c.In, 64<<10))
			if err != nil {
				return err
			}
			// The token is for this server alone. Whole lines are compared: a
			// user's name or a path may hold anything.
			at, err := url.Parse(endpoint.URL)
			if err == nil && slices.Contains(strings.Split(string(asked), "\n"), "host="+at.Host) {
				fmt.Fprintf(c.Out, "username=towline\npassword=%s\n", token)
			}
			return nil
		},
	}
}

// buildRunnerCommand is the process that runs a build while the server may
// come and go.
func (c *command) buildRunnerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "build-runner DIR", Hidden: true, Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return exited(host.RunnerMain(cmd.Context(), args[0]))
		},
	}
}

// toolCommands are the programs that builds find on their search path.
func (c *command) toolCommands() []*cobra.Command {
	var all []*cobra.Command
	for _, name := range phases.Tools() {
		all = append(all, &cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error {
				code, _ := phases.Tool(cmd.Context(), append([]string{name}, args...), c.Out, c.Err)
				return exited(code)
			},
		})
	}
	return all
}

// functionRunnerCommand is the process that carries out one invocation of a
// function while the server may come and go.
func (c *command) functionRunnerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "function-runner DIR", Hidden: true, Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return exited(function.RunnerMain(cmd.Context(), args[0]))
		},
	}
}

// encloseCommand is the process that becomes what builds Dockerfiles, such as the
// server's own buildkitd; without arguments it compiles that, unless there is one.
func (c *command) encloseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "enclose [PROGRAM ARGS]", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return enclosure.Main(args)
			}
			_, err := daemon.Finder{}.Find(cmd.Context(), func(line string) { fmt.Fprintln(c.Err, line) })
			return err
		},
	}
}

// renderChartCommand is the process in which the server renders a chart.
func (c *command) renderChartCommand() *cobra.Command {
	return &cobra.Command{
		Use: "render-chart", Hidden: true, Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return renderer.Serve(c.In, c.Out) },
	}
}

func exited(code int) error {
	if code == exitOK {
		return nil
	}
	return exitCode(code)
}

// executable is the path of this program, for the processes that it starts.
func executable() (string, error) { return os.Executable() }
