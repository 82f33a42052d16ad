package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project/queue"
)

// turns is a backend whose builds wait for their turn among all that run on this
// machine: those of projects stand in the same queue.
type turns struct {
	build.Backend
	queue *queue.Queue
}

var _ build.Backend = turns{}

// Run runs the build when it is its turn.
func (t turns) Run(ctx context.Context, b build.Build) (build.Ended, error) {
	turn := t.queue.Join(queue.Place{Host: true})
	defer turn.Leave()
	if !turn.Begun() {
		running, waiting := t.queue.Lengths()
		fmt.Fprintf(b.Log, "host backend: the build waits for its turn: %d builds run, and %d wait\n", running, waiting)
	}
	if err := turn.Wait(ctx); errors.Is(err, pipeline.ErrShutdown) {
		return build.Ended{}, err
	}
	// Also when it is to be stopped: it may have begun before a restart.
	return t.Backend.Run(ctx, b)
}
