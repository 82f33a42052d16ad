package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// errFastFail ends the builds of a batch when one has failed and fast-fail is
// set.
var errFastFail = errors.New("another build of the batch has failed")

// walk runs the tasks of a batch, each when those that it depends on have
// ended.
type walk struct {
	tasks    []buildspec.Task
	most     int // at once
	fastFail bool
	progress func(line string) // may be nil
	// begun tells whether a task has begun in an earlier process: such a one is
	// run also when all are to end, since running it is what ends it. It may be
	// nil.
	begun func(task int) bool

	results []*pipeline.Result // nil for those that have not ended
	running map[int]context.CancelCauseFunc
	over    map[int]bool // those that ran, in whatever way they ended
	failed  bool         // a task has failed whose failure counts
	fault   error
}

// runTask runs one task by its number, with what those before it have made. It
// is called by several goroutines at once.
type runTask func(ctx context.Context, task int, before []pipeline.Artifact) (pipeline.Result, error)

// ending is how a task has ended.
type ending struct {
	task   int
	result pipeline.Result
	err    error
}

// run returns a result for each task, nil for those that did not run. The error
// is the first fault, or the cause of ctx; no task runs any more then.
func (w *walk) run(ctx context.Context, do runTask) ([]*pipeline.Result, error) {
	w.results, w.running, w.over = make([]*pipeline.Result, len(w.tasks)), map[int]context.CancelCauseFunc{}, map[int]bool{}
	ends := make(chan ending)
	for {
		for len(w.running) < w.most {
			i := w.next(ctx)
			if i < 0 {
				break
			}
			taskCtx, cancel := context.WithCancelCause(ctx)
			w.running[i] = cancel
			before := w.before(i)
			go func() {
				result, err := do(taskCtx, i, before)
				ends <- ending{i, result, err}
			}()
		}
		if len(w.running) == 0 {
			if w.fault == nil && ctx.Err() != nil {
				w.fault = context.Cause(ctx)
			}
			return w.results, w.fault
		}
		w.end(<-ends)
	}
}

// end notes how a task has ended, and ends the others when it must.
func (w *walk) end(e ending) {
	w.running[e.task](nil)
	w.over[e.task] = true
	delete(w.running, e.task)
	defer w.tell()
	switch {
	case errors.Is(e.err, errFastFail):
		stopped := pipeline.Fail("stopped, since another build of the batch has failed")
		w.results[e.task] = &stopped
	case e.err != nil:
		if w.fault == nil {
			w.fault = e.err
		}
		w.cancel(e.err)
	default:
		w.results[e.task] = &e.result
		if e.result.Outcome != pipeline.Succeeded && !w.tasks[e.task].IgnoreFailure {
			w.failed = true
			if w.fastFail {
				w.cancel(errFastFail)
			}
		}
	}
}

// tell says how far the batch is.
func (w *walk) tell() {
	if w.progress == nil {
		return
	}
	ended := 0
	for _, r := range w.results {
		if r != nil {
			ended++
		}
	}
	w.progress(fmt.Sprintf("%d of %s have ended", ended, count(len(w.tasks), "build")))
}

func (w *walk) cancel(cause error) {
	for _, cancel := range w.running {
		cancel(cause)
	}
}

// next is a task that can begin, or that must in order to end; -1 when there is
// none now.
func (w *walk) next(ctx context.Context) int {
	ending := ctx.Err() != nil || w.fault != nil || w.failed && w.fastFail
	for i, t := range w.tasks {
		_, runs := w.running[i]
		waits := slices.ContainsFunc(t.DependOn, func(id string) bool { return !w.passed(id) })
		switch {
		case runs || w.over[i]:
		case ending && w.begun != nil && w.begun(i), !ending && !waits:
			return i
		}
	}
	return -1
}

// passed says whether a task has ended so that those which depend on it may
// begin.
func (w *walk) passed(id string) bool {
	i := w.number(id)
	if i < 0 || w.results[i] == nil {
		return false
	}
	return w.results[i].Outcome == pipeline.Succeeded || w.tasks[i].IgnoreFailure
}

func (w *walk) number(id string) int {
	return slices.IndexFunc(w.tasks, func(t buildspec.Task) bool { return t.Identifier == id })
}

// before are the artifacts of those that a task depends on.
func (w *walk) before(task int) []pipeline.Artifact {
	var all []pipeline.Artifact
	for _, id := range w.tasks[task].DependOn {
		if r := w.results[w.number(id)]; r != nil { // else the task runs in order to end
			all = append(all, r.Artifacts...)
		}
	}
	return all
}
