package engine

import (
	"context"
	"sync"

	"github.com/towline/towline/internal/pipeline"
)

// attendance knows which actions run in this process, so that they can be
// interrupted when their stage is abandoned, and what they leave behind is
// removed when the last of them has let go of it.
type attendance struct {
	mu      sync.Mutex
	running map[pipeline.RunAction]context.CancelCauseFunc
	after   map[string]func() // what is to be done once nothing of an execution runs
}

func (a *attendance) init() {
	a.running, a.after = map[pipeline.RunAction]context.CancelCauseFunc{}, map[string]func(){}
}

// enter lets an action run until leave is called or its stage is abandoned.
func (a *attendance) enter(ctx context.Context, run pipeline.RunAction) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running[run] = cancel
	return ctx, func() {
		cancel(nil)
		a.mu.Lock()
		delete(a.running, run)
		after := a.after[run.Execution]
		if a.runs(run.Execution) {
			after = nil
		} else {
			delete(a.after, run.Execution)
		}
		a.mu.Unlock()
		if after != nil {
			after()
		}
	}
}

// runs tells whether anything of an execution runs here.
func (a *attendance) runs(execution string) bool {
	for run := range a.running {
		if run.Execution == execution {
			return true
		}
	}
	return false
}

// whenGone does something once nothing of an execution runs here, at once if
// that is so.
func (a *attendance) whenGone(execution string, do func()) {
	a.mu.Lock()
	if a.runs(execution) {
		a.after[execution] = do
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	do()
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

// dismissOne interrupts one action.
func (a *attendance) dismissOne(run pipeline.RunAction) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cancel := a.running[run]; cancel != nil {
		cancel(pipeline.ErrAbandoned)
	}
}
