package cli

import (
	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/build/pod/runner"
)

// agentBuildCommand is the first process in the container of a build.
func (c *command) agentBuildCommand() *cobra.Command {
	return &cobra.Command{
		Use: "build", Args: exactly(),
		Short: "Take a build from the server, run it, and keep what it makes until it is fetched",
		Long: `Run the build of a Pod: the server sends it with its files through the API
server, follows its log and fetches what it has made. Meant for the Pods that a
server makes for actions with compute: pod.`,
		Example: `  towline agent build`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return exited(runner.Main(cmd.Context())) },
	}
}

// agentInstallCommand is the container before that one.
func (c *command) agentInstallCommand() *cobra.Command {
	return &cobra.Command{
		Use: "install DIR", Args: exactly("DIR"),
		Short:   "Copy this program into a directory, for a container whose image has none",
		Example: `  towline agent install /run/towline/bin`,
		RunE:    func(_ *cobra.Command, args []string) error { return runner.Install(args[0]) },
	}
}
