//go:build !linux

package host

import (
	"context"
	"errors"

	"github.com/towline/towline/internal/build"
)

// errNotHere is what is left of the host backend on other systems.
var errNotHere = errors.New("builds run on Linux only: the host backend needs /proc, and locks that a child inherits; run the server on Linux")

// Backend is the build.Backend that runs builds as processes of this machine. It needs
// Linux.
type Backend struct{}

var _ build.Backend = (*Backend)(nil)

// New returns a backend whose builds all fault.
func New(Config) (*Backend, error) { return &Backend{}, nil }

// Run returns an error.
func (*Backend) Run(context.Context, build.Build) (build.Ended, error) {
	return build.Ended{}, errNotHere
}

// RunnerMain returns the exit code of a failure.
func RunnerMain(context.Context, string) int { return 1 }
