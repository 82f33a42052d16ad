package app

import (
	"context"
	"errors"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project/queue"
	"github.com/towline/towline/internal/waittest"
)

// held is a backend whose builds last until they are let go.
type held struct{ begun, release chan struct{} }

func (h held) Run(ctx context.Context, _ build.Build) (build.Ended, error) {
	if ctx.Err() != nil {
		return build.Ended{}, context.Cause(ctx)
	}
	h.begun <- struct{}{}
	<-h.release
	return build.Ended{}, nil
}

func TestBuildsOfPipelinesWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	h := held{make(chan struct{}), make(chan struct{})}
	queue := queue.New(1)
	backend := turns{h, queue}
	var log waittest.Log
	ended := make(chan error, 3)
	run := func(ctx context.Context) {
		_, err := backend.Run(ctx, build.Build{Log: &log})
		ended <- err
	}
	go run(t.Context())
	<-h.begun
	go run(t.Context())
	log.Await(t, "the build waits for its turn: 1 builds run, and 1 wait")
	stopped, stop := context.WithCancelCause(t.Context())
	no := errors.New("no more")
	go run(stopped)
	log.Await(t, "1 builds run, and 2 wait")
	stop(no)
	if err := <-ended; !errors.Is(err, no) {
		t.Errorf("one that was stopped while it waited: %v", err)
	}
	shut, shutdown := context.WithCancelCause(t.Context())
	shutdown(pipeline.ErrShutdown)
	if _, err := backend.Run(shut, build.Build{Log: &log}); !errors.Is(err, pipeline.ErrShutdown) {
		t.Errorf("one that the server's end interrupts: %v", err)
	}
	h.release <- struct{}{}
	<-h.begun
	h.release <- struct{}{}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if running, waiting := queue.Lengths(); running+waiting != 0 {
		t.Errorf("%d run and %d wait", running, waiting)
	}
}
