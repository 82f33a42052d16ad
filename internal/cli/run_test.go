package cli

import (
	"errors"
	"io"
	"testing"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// TestOnlyASuccessIsASuccess says which executions make a command fail, so that
// a script does not take one that was overtaken for a release.
func TestOnlyASuccessIsASuccess(t *testing.T) {
	t.Parallel()
	for status, want := range map[pipeline.ExecutionStatus]int{
		pipeline.ExecutionInProgress: exitOK, // run --detach
		pipeline.ExecutionSucceeded:  exitOK,
		pipeline.ExecutionFailed:     exitFailed,
		pipeline.ExecutionSuperseded: exitFailed,
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			c := &command{Invocation: Invocation{Out: io.Discard, Err: io.Discard}}
			var code exitCode
			err := c.outcome(client.Execution{Execution: pipeline.Execution{Status: status}})
			if errors.As(err, &code); int(code) != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
		})
	}
}
