package buildtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

func (s suite) timeout(t *testing.T) {
	t.Parallel()
	b := withMark(New(t, holder, "sleep 1000"))
	b.Phases[0].GoOn = true
	b.Phases = append(b.Phases, build.Phase{Name: "post_build", Commands: []string{"echo no"}})
	b.Timeout = 2 * time.Second
	ended := s.run(t, b)
	if ended.TimedOut != "build" || len(ended.Phases) > 0 {
		t.Errorf("got %+v", ended)
	}
	s.gone(t, b)
}

func (s suite) stop(t *testing.T) {
	t.Parallel()
	b := withMark(New(t, "echo $PGPORT > port", holder, "trap 'echo cleaning up; exit 1' TERM; echo here; sleep 1000 & wait"))
	b.Services = []build.Service{{Name: "db", Engine: "postgres"}}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by somebody")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.backend.Run(ctx, b); !errors.Is(err, stopped) {
			t.Errorf("Run returned %v", err)
		}
	})
	waitFor(t, b, "here")
	cancel(stopped)
	wg.Wait()
	s.gone(t, b)
	if lines := printed(t, b); lines[len(lines)-1] != "cleaning up" {
		t.Errorf("the commands had no time to clean up; the log ends with %q", lines[len(lines)-1])
	}
}

func (s suite) shutdown(t *testing.T) {
	t.Parallel()
	b := withMark(New(t, "echo run >> count", "echo one", "while [ ! -e go ]; do sleep 0.01; done", "echo two", "cat count"))
	b.Exported = []string{"TOWLINE_TEST_BUILD"}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.backend.Run(ctx, b)
		done <- err
	}()
	waitFor(t, b, "one")
	cancel(fmt.Errorf("upgrade: %w", pipeline.ErrShutdown))
	if err := <-done; !errors.Is(err, pipeline.ErrShutdown) {
		t.Fatalf("Run returned %v", err)
	}
	// The build waits in a loop of its own; while nobody is there it must go on.
	Touch(t, b, "go")
	waitGone(t, b)
	for range 2 { // and once more, after it has ended
		ended := s.run(t, b)
		if diff := cmp.Diff([]string{"build ok"}, outcome(ended)); diff != "" {
			t.Error("(-want +got)\n", diff)
		}
		if ended.Exported["TOWLINE_TEST_BUILD"] != b.Dir {
			t.Error("the exported variable is lost")
		}
	}
	if diff := cmp.Diff([]string{"one", "two", "run"}, printed(t, b)); diff != "" {
		t.Error("printed (-want +got)\n", diff)
	}
	s.gone(t, b)
}

func (s suite) background(t *testing.T) {
	t.Parallel()
	b := withMark(New(t, holder))
	b.Phases = append(b.Phases, build.Phase{Name: "post_build", Commands: []string{"kill -0 $(cat a) && echo lives"}})
	s.run(t, b)
	if diff := cmp.Diff([]string{"holding", "lives"}, printed(t, b)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	s.gone(t, b)
}
