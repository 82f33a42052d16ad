//go:build !linux

package function

import (
	"context"
	"errors"
	"time"
)

// errNotHere is what is left of functions on other systems.
var errNotHere = errors.New("functions run on Linux only: run the server on Linux")

// Runner runs functions as processes of this machine. It needs Linux.
type Runner struct{}

// New returns a runner whose functions all fault.
func New(Config) (*Runner, error) { return &Runner{}, nil }

// Ready returns an error.
func (*Runner) Ready(Function) error { return errNotHere }

// Begun tells that nothing has.
func (*Runner) Begun(string) bool { return false }

// Invoke returns an error.
func (*Runner) Invoke(context.Context, Invocation) (Outcome, error) { return Outcome{}, errNotHere }

// Tidy does nothing.
func (*Runner) Tidy(time.Time) error { return nil }

// RunnerMain returns the exit code of a failure.
func RunnerMain(context.Context, string) int { return 1 }
