package engine

import (
	"context"
	"sync"

	"github.com/towline/towline/internal/pipeline"
)

// attendance knows which actions run in this process, so that they can be
// interrupted when their stage is abandoned.
type attendance struct {
	mu      sync.Mutex
	running map[pipeline.RunAction]context.CancelCauseFunc
}

func (a *attendance) init() { a.running = map[pipeline.RunAction]context.CancelCauseFunc{} }

// enter lets an action run until leave is called or its stage is abandoned.
func (a *attendance) enter(ctx context.Context, run pipeline.RunAction) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running[run] = cancel
	return ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.running, run)
		cancel(nil)
	}
}

// dismiss interrupts what runs of a stage attempt.
func (a *attendance) dismiss(c pipeline.CancelStage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for run, cancel := range a.running {
		if run.Execution == c.Execution && run.Stage == c.Stage && run.Attempt == c.Attempt {
			cancel(pipeline.ErrAbandoned)
		}
	}
}
