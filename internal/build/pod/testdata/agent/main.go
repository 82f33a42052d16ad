// Command agent is what of Towline the Pods of builds need, for tests: `agent
// install DIR` and `agent build`, and the tools of the commands.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/towline/towline/internal/build/phases"
	"github.com/towline/towline/internal/build/pod/runner"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if code, ok := phases.Tool(ctx, args, os.Stdout, os.Stderr); ok {
		return code
	}
	switch {
	case len(args) == 2 && args[1] == "build":
		return runner.Main(ctx)
	case len(args) == 3 && args[1] == "install":
		if err := runner.Install(args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	return 2
}
