package engine

import (
	"sync"

	"github.com/towline/towline/internal/pipeline"
)

// watchers tell those who look at an execution that it has changed, and hold
// the running actions' progress lines. Both are for the eye: they live in
// memory and a restart forgets them.
type watchers struct {
	mu       sync.Mutex
	channels map[string]map[chan struct{}]bool
	progress map[pipeline.RunAction]string
	news     map[*News]bool
}

func (w *watchers) init() {
	w.channels = map[string]map[chan struct{}]bool{}
	w.progress = map[pipeline.RunAction]string{}
	w.news = map[*News]bool{}
}

// Watch returns a channel that receives when the execution may have changed:
// at once, and again after each change. Several changes may arrive as one. The
// caller calls stop when it no longer looks.
func (e *Engine) Watch(execution string) (changed <-chan struct{}, stop func()) {
	w := &e.watch
	ch := make(chan struct{}, 1)
	ch <- struct{}{}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.channels[execution] == nil {
		w.channels[execution] = map[chan struct{}]bool{}
	}
	w.channels[execution][ch] = true
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.channels[execution], ch)
		if len(w.channels[execution]) == 0 {
			delete(w.channels, execution)
		}
	}
}

// Progress is the present progress line of a running action, or "".
func (e *Engine) Progress(execution, stage string, attempt int, action string) string {
	e.watch.mu.Lock()
	defer e.watch.mu.Unlock()
	return e.watch.progress[pipeline.RunAction{Execution: execution, Stage: stage, Attempt: attempt, Action: action}]
}

func (w *watchers) setProgress(action pipeline.RunAction, line string) {
	w.mu.Lock()
	if line == "" {
		delete(w.progress, action)
	} else {
		w.progress[action] = line
	}
	w.mu.Unlock()
	w.notify(action.Execution)
}

func (w *watchers) notify(executions ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range executions {
		for ch := range w.channels[id] {
			select {
			case ch <- struct{}{}:
			default: // a change is already waiting to be seen
			}
		}
	}
}
