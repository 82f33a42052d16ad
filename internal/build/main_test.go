package build_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/towline/towline/internal/build"
)

// runnerCommand makes the test binary the runner of a build.
const runnerCommand = "build-runner"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		switch os.Args[1] {
		case runnerCommand:
			os.Exit(build.RunnerMain(context.Background(), os.Args[2]))
		}
	}
	goleak.VerifyTestMain(m)
}
