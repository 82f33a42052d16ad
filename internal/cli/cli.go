// Package cli is the command line: one file per command, and the only room
// that prints. Results go to standard output, the talk about them to standard
// error; what a person watches on a terminal becomes plain lines in a pipe.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/kube"
)

// Exit codes. They are part of the interface: scripts depend on them.
const (
	exitOK      = 0
	exitError   = 1 // the command could not be carried out
	exitUsage   = 2 // the command line is not right
	exitFailed  = 3 // an execution or a deployment was carried out and did not succeed
	exitStopped = 130
)

// Invocation is one call of the program.
type Invocation struct {
	Args    []string // without the program's name
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Version string
}

// command is what each command gets: where to print, and the flags that all of
// them share.
type command struct {
	Invocation
	data   string // data directory of the server
	server string // URL of the server, "" to find it in data
	token  string
	output string // text or json
}

// exitCode is an error about which everything has been said but the code.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is an error of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs one command line and returns the exit code.
func Main(ctx context.Context, in Invocation) int {
	kube.SilenceLibraries()
	out := &written{to: in.Out}
	in.Out = out
	c := &command{Invocation: in}
	root := c.root()
	root.SetArgs(lambdaArgs(in.Args))
	root.SetIn(in.In)
	root.SetOut(in.Out)
	root.SetErr(in.Err)
	err := root.ExecuteContext(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("print the result: %w. What was asked for has been done", out.err)
	}
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitStopped
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(in.Err, "towline: error:", strings.TrimRight(line, "\n"))
	}
	if errors.As(err, &usageError{}) {
		return exitUsage
	}
	return exitError
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "towline",
		Short: "Continuous deployment for Kubernetes that measures that no request was lost",
		Long: `Towline takes a commit from git push through tests against a real database,
packaging and image build to a running release on Kubernetes, and measures
that no request was lost on the way.

Exit codes: 0 success; 1 the command could not be carried out; 2 the command
line is not right; 3 an execution or a deployment did not succeed; 130
interrupted.`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if c.output != "text" && c.output != "json" {
				return usageError{fmt.Errorf("output %q is neither text nor json", c.output)}
			}
			return nil
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see %q", err, cmd.CommandPath()+" --help")}
	})
	flags := root.PersistentFlags()
	flags.StringVar(&c.data, "data", config.DefaultData(), "data directory of the server (TOWLINE_DATA)")
	flags.StringVar(&c.server, "server", os.Getenv("TOWLINE_SERVER"), "URL of the server, default the one on this machine (TOWLINE_SERVER)")
	// The variable is no default of the flag, which help would print.
	flags.StringVar(&c.token, "token", "", "token for the server, default the one in the data directory (TOWLINE_TOKEN)")
	flags.StringVarP(&c.output, "output", "o", "text", "how results are printed: text or json")
	root.AddCommand(
		c.demoCommand(), c.serverCommand(), c.clusterCommand(), c.accessKeyCommand(), c.secretCommand(), c.notificationCommand(), c.repositoryCommand(), c.mirrorCommand(), c.projectCommand(), c.pipelineCommand(),
		c.buildCommand(), c.runCommand(), c.statusCommand(), c.executionsCommand(), c.logsCommand(), c.testsCommand(),
		c.approveCommand(), c.rejectCommand(), c.stopCommand(), c.retryCommand(), c.rollbackStageCommand(), c.overrideCommand(), c.transitionCommand(),
		c.deployCommand(), c.deploymentsCommand(), c.diffCommand(), c.rollbackCommand(),
		c.promoteCommand(), c.abortCommand(), c.verifyCommand(), c.attestCommand(),
		c.functionCommand(), c.lambdaCommand(),
		c.versionCommand(), c.referenceCommand(), c.hookCommand(), c.gitCredentialCommand(), c.buildRunnerCommand(), c.renderChartCommand(), c.agentCommand(), c.encloseCommand(), c.functionRunnerCommand(),
	)
	root.AddCommand(c.toolCommands()...)
	return root
}

// exactly is cobra.ExactArgs with names for what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return between(len(names), names...)
}

// between takes at least so many of the named arguments.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError{fmt.Errorf("%s is missing: %s", names[len(args)], cmd.UseLine())}
		case len(args) > len(names):
			return usageError{fmt.Errorf("%q is one argument too many: %s", args[len(names)], cmd.UseLine())}
		}
		return nil
	}
}

// client finds the server and its token: by the flags, else in the data
// directory, else in that of the demo.
func (c *command) client() (*client.Client, error) {
	if c.token == "" {
		c.token = os.Getenv("TOWLINE_TOKEN")
	}
	if c.server != "" && c.token != "" {
		return client.New(c.server, c.token), nil
	}
	endpoint, token, err := config.ReadEndpoint(c.data)
	if errors.Is(err, fs.ErrNotExist) {
		endpoint, token, err = config.ReadEndpoint(demoData(c.data))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.server != "":
		return nil, fmt.Errorf("no token for %s: give it with --token or TOWLINE_TOKEN", c.server)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no server has run with data directory %s: start one with \"towline server\", or name one with --server and --token", c.data)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the token in %s belongs to another user: give --token, or run this as that user", c.data)
	case err != nil:
		return nil, err
	}
	if c.server != "" {
		endpoint.URL = c.server
	}
	if c.token != "" {
		token = c.token
	}
	return client.New(endpoint.URL, token), nil
}
