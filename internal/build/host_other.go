//go:build !linux

package build

import (
	"context"
	"errors"
)

// errNotHere is what is left of the host backend on other systems.
var errNotHere = errors.New("builds run on Linux only: the host backend needs /proc, and locks that a child inherits; run the server on Linux")

// Host is the Backend that runs builds as processes of this machine. It needs
// Linux.
type Host struct{}

var _ Backend = (*Host)(nil)

// NewHost returns a backend whose builds all fault.
func NewHost(HostConfig) (*Host, error) { return &Host{}, nil }

// Run returns an error.
func (*Host) Run(context.Context, Build) (Ended, error) { return Ended{}, errNotHere }

// RunnerMain returns the exit code of a failure.
func RunnerMain(context.Context, string) int { return 1 }
