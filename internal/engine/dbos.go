package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" // lets DBOS use the store's SQLite

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

const (
	// applicationVersion is constant: a newer Towline resumes the attempts
	// that an older one began. walk therefore keeps the order of its durable
	// calls compatible.
	applicationVersion = "1"
	// retryAfter is how long an attempt rests whose walk broke off, for
	// example because the disk was full.
	retryAfter = 5 * time.Second
)

// durableDBOS is the executor on DBOS Transact. Its records and the store's
// tables are in one database and commit together.
type durableDBOS struct {
	engine *Engine
	root   dbos.Context
	source *dbos.DataSource
	logger *slog.Logger

	submitting sync.Mutex // two submits of one attempt must not both find none

	mu      sync.Mutex
	resting map[string]*time.Timer // attempts that wait for retryAfter
	broken  map[string]bool        // workflows of this process whose walk has broken off
	stopped bool
}

var _ executor = (*durableDBOS)(nil)

func newDBOS(ctx context.Context, e *Engine) (*durableDBOS, error) {
	// DBOS tells its own story at Info; only what needs a person is passed on.
	logger := slog.New(atLeast{e.Logger.Handler(), slog.LevelWarn})
	root, err := dbos.NewContext(context.WithoutCancel(ctx), dbos.Config{
		AppName: "towline", SQLiteSystemDB: e.Store.Handle(), Logger: logger,
		ApplicationVersion: applicationVersion, ExecutorID: "local",
	})
	if err != nil {
		return nil, err
	}
	source, err := dbos.NewDataSource(root, e.Store.Handle())
	if err != nil {
		return nil, err
	}
	d := &durableDBOS{engine: e, root: root, source: source, logger: e.Logger, resting: map[string]*time.Timer{}, broken: map[string]bool{}}
	dbos.RegisterWorkflow(root, d.workflow, dbos.WithWorkflowName("stage"), dbos.WithMaxRecoveryAttempts(1000))
	return d, nil
}

// resumes reads the executions from the ids of the workflows: see attempt.id.
func (d *durableDBOS) resumes() (map[string]bool, error) {
	found, err := dbos.ListWorkflows(d.root, dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
		dbos.WithFilterStatus(dbos.WorkflowStatusPending, dbos.WorkflowStatusEnqueued, dbos.WorkflowStatusDelayed))
	if err != nil {
		return nil, fmt.Errorf("list workflows to resume: %w", err)
	}
	executions := map[string]bool{}
	for _, w := range found {
		execution, _, _ := strings.Cut(w.ID, "/")
		executions[execution] = true
	}
	return executions, nil
}

func (d *durableDBOS) launch() error { return dbos.Launch(d.root) }

func (d *durableDBOS) shutdown(timeout time.Duration) error {
	d.mu.Lock()
	d.stopped = true
	for _, timer := range d.resting {
		timer.Stop()
	}
	d.mu.Unlock()
	return dbos.Shutdown(d.root, timeout)
}

// submit starts the workflow of an attempt, now or as soon as that is possible.
// Of an attempt that has just been made there is none yet; should there be one
// after all, DBOS starts none beside it.
func (d *durableDBOS) submit(at attempt) {
	_, err := dbos.RunWorkflow(d.root, d.workflow, at, dbos.WithWorkflowID(at.worker()))
	d.submitted(at, err)
}

// resubmit is submit for an attempt that may have a workflow: one that runs, or
// has broken off.
func (d *durableDBOS) resubmit(at attempt) { d.submitted(at, d.tryResubmit(at)) }

// submitted sees to it that an attempt which could not be submitted is.
func (d *durableDBOS) submitted(at attempt, err error) {
	if err == nil || d.root.Err() != nil {
		return // when the server stops, its next start submits what is missing
	}
	d.logger.Error("submit stage, trying again", "execution", at.Execution, "stage", at.Stage, "attempt", at.Number, "after", retryAfter, "error", err)
	d.rest(at)
}

// tryResubmit starts the workflow of an attempt. A workflow that has broken off
// is not the end of the attempt: the next free ID takes it up where the state
// machine stands.
func (d *durableDBOS) tryResubmit(at attempt) error {
	d.submitting.Lock()
	defer d.submitting.Unlock()
	for again := 0; ; again++ {
		id := at.worker()
		if again > 0 {
			id = fmt.Sprintf("%s#%d", id, again)
		}
		handle, err := dbos.RetrieveWorkflow[string](d.root, id)
		if err != nil && !errors.Is(err, dbos.ErrNonExistentWorkflow) {
			return fmt.Errorf("look for workflow %s: %w", id, err)
		}
		if err != nil {
			_, err := dbos.RunWorkflow(d.root, d.workflow, at, dbos.WithWorkflowID(id))
			return err
		}
		status, err := handle.GetStatus()
		if err != nil {
			return fmt.Errorf("read workflow %s: %w", id, err)
		}
		switch status.Status {
		case dbos.WorkflowStatusSuccess:
			return nil
		case dbos.WorkflowStatusPending, dbos.WorkflowStatusEnqueued, dbos.WorkflowStatusDelayed:
			if !d.hasBroken(id) {
				return nil
			}
			// The disk was too full to record its end. That must be made up
			// for before another one begins, or a restart would resume both.
			if err := dbos.CancelWorkflow(d.root, id); err != nil {
				return fmt.Errorf("end workflow %s: %w", id, err)
			}
		}
	}
}

func (d *durableDBOS) hasBroken(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken[id]
}

func (d *durableDBOS) workflow(ctx dbos.Context, at attempt) (string, error) {
	r := newRun(ctx, d.source)
	at, err := d.engine.walk(r, at)
	r.end()
	if err != nil && ctx.Err() == nil {
		d.logger.Error("stage broke off, trying again", "execution", at.Execution, "stage", at.Stage, "attempt", at.Number, "after", retryAfter, "error", err)
		if id, err := dbos.GetWorkflowID(ctx); err == nil {
			d.mu.Lock()
			d.broken[id] = true
			d.mu.Unlock()
		}
		d.rest(at)
	}
	return "", err
}

// rest submits the attempt again after a while.
func (d *durableDBOS) rest(at attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	d.resting[at.worker()] = time.AfterFunc(retryAfter, func() { d.resubmit(at) })
}

// runDBOS is the run of one workflow.
type runDBOS struct {
	ctx    dbos.Context
	source *dbos.DataSource

	outcomes chan pipeline.ActionEnded
	seen     map[string]bool // the steps whose outcome await has returned

	over    context.Context // ends with the walk
	endWalk context.CancelFunc
	actions sync.WaitGroup
}

var _ run = (*runDBOS)(nil)

func newRun(ctx dbos.Context, source *dbos.DataSource) *runDBOS {
	r := &runDBOS{ctx: ctx, source: source, outcomes: make(chan pipeline.ActionEnded), seen: map[string]bool{}}
	r.over, r.endWalk = context.WithCancel(context.WithoutCancel(ctx))
	return r
}

// end interrupts the actions that still run, which only a walk that broke off
// has left, and waits for them: nobody else does, and the next walk of the
// attempt, or of the next process, runs them again.
func (r *runDBOS) end() {
	r.endWalk()
	r.actions.Wait()
}

func (r *runDBOS) transact(name string, fn func(context.Context, store.Querier) (transition, error)) (transition, error) {
	return dbos.RunAsTransaction(r.ctx, r.source, func(ctx context.Context, tx dbos.Tx) (transition, error) {
		return fn(ctx, txQuerier{tx})
	}, dbos.WithStepName(name))
}

// start runs fn outside of DBOS's steps: what it came to is recorded with what
// follows from it, by transact, and not once more before. A walk that is
// replayed starts all of them again; those that have ended return at once.
func (r *runDBOS) start(fn func(context.Context) pipeline.ActionEnded) {
	r.actions.Go(func() {
		ctx, cancel := r.shutdownCause()
		defer cancel()
		ended := fn(ctx)
		if errors.Is(context.Cause(ctx), pipeline.ErrShutdown) {
			return // What it says is about the interruption, and it runs again.
		}
		select {
		case r.outcomes <- ended:
		case <-r.over.Done():
		}
	})
}

// shutdownCause gives an action a context whose cause tells it that it will be
// run again: the server stops, which is the one reason for which DBOS ends a
// workflow's context, or the walk has broken off.
func (r *runDBOS) shutdownCause() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.ctx))
	interrupt := func() { cancel(pipeline.ErrShutdown) }
	stops := []func() bool{context.AfterFunc(r.ctx, interrupt), context.AfterFunc(r.over, interrupt)}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
	}
}

// await is a step of its own when several actions run, so that the order in
// which outcomes arrived is the order in which a later walk sees them. That of
// one alone follows from itself, and a record less is a commit less. DBOS's
// Select does not serve: it loses the outcomes that it did not select.
func (r *runDBOS) await(running int) (pipeline.ActionEnded, error) {
	var ended pipeline.ActionEnded
	var err error
	if running == 1 {
		ended, err = r.next(r.ctx)
	} else {
		ended, err = dbos.RunAsStep(r.ctx, r.next, dbos.WithStepName("await"))
	}
	if err == nil {
		r.seen[stepOfEnded(ended)] = true
	}
	return ended, err
}

// stepOfEnded tells a rule from an action of the same name, and both from those
// of other stages and attempts.
func stepOfEnded(ended pipeline.ActionEnded) string {
	return fmt.Sprintf("%s/%d/%s/%s", ended.Stage, ended.Attempt, ended.Condition, ended.Action)
}

// next is the next outcome that has not been seen.
func (r *runDBOS) next(ctx context.Context) (pipeline.ActionEnded, error) {
	for {
		select {
		case ended := <-r.outcomes:
			if !r.seen[stepOfEnded(ended)] {
				return ended, nil
			}
		case <-ctx.Done():
			return pipeline.ActionEnded{}, ctx.Err()
		}
	}
}

// txQuerier lets the store use DBOS's transaction.
type txQuerier struct{ tx dbos.Tx }

var _ store.Querier = txQuerier{}

func (q txQuerier) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := q.tx.Exec(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (q txQuerier) Query(ctx context.Context, query string, args ...any) (store.Rows, error) {
	return q.tx.Query(ctx, query, args...)
}

// atLeast is a slog.Handler that drops what is below a level.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
