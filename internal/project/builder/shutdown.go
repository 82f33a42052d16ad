package builder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Shutdown takes no more builds and leaves those that run, so that they are
// taken up at the next start. It waits for that, at most so long.
func (r *Builder) Shutdown(within time.Duration) error {
	r.mu.Lock()
	r.closed = true
	for _, h := range r.running {
		h.cancel(pipeline.ErrShutdown)
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(within):
		return fmt.Errorf("leave the builds that run: they do not let go within %s", within)
	}
}

// closing tells whether the server stops.
func (r *Builder) closing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

func shutdown(ctx context.Context) bool { return errors.Is(context.Cause(ctx), pipeline.ErrShutdown) }
