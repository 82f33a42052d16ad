// Package engine walks executions through their stages and actions, and picks
// them up again after a crash. What follows what is decided by the state
// machine in package pipeline; how a stage attempt survives the process is the
// business of a durable executor (DBOS Transact, in dbos.go, the only file
// that knows it). The engine knows actions only by the Action interface, which
// package app fills in.
package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Action does the work of one kind of action. Run is called once per action
// attempt, and again with the same job when the server died before the outcome
// was recorded; calls for different jobs run concurrently. A Result says
// whether the user's work succeeded or failed; an error says that it could not
// be run. When ctx ends with cause pipeline.ErrShutdown, Run leaves behind
// what it can pick up again and returns soon.
type Action interface {
	Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error)
}

// Config is what an Engine needs.
type Config struct {
	Store *store.DB
	// Action finds the code for a type of action.
	Action func(pipeline.ActionType) (Action, bool)
	// Dir holds the actions' logs and working directories.
	Dir string
	// OpenLog opens the log file of an action for appending.
	OpenLog func(path string) (io.WriteCloser, error)
	Now     func() time.Time
	Logger  *slog.Logger
}

// Engine runs the executions of one server.
type Engine struct {
	Config
	durable executor
	watch   watchers
	present attendance
	clock   sync.WaitGroup // the watch over due actions
	stop    context.CancelFunc
}

// New prepares an engine. Nothing runs until Start.
func New(ctx context.Context, config Config) (*Engine, error) {
	e := &Engine{Config: config}
	e.watch.init()
	e.present.init()
	durable, err := newDBOS(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("prepare durable execution: %w", err)
	}
	e.durable = durable
	return e, nil
}

// Start picks up what an earlier process left unfinished and accepts new
// executions from then on.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.sweep(ctx); err != nil {
		return err
	}
	if err := e.durable.launch(); err != nil {
		return fmt.Errorf("start durable execution: %w", err)
	}
	if err := e.reconcile(ctx); err != nil {
		return err
	}
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	e.clock.Go(func() { e.watchDue(ctx) })
	return nil
}

// Stop interrupts the running actions with cause pipeline.ErrShutdown and
// waits for them, at most the given time. They go on at the next Start.
func (e *Engine) Stop(timeout time.Duration) error {
	if e.stop != nil {
		e.stop()
	}
	e.clock.Wait()
	return e.durable.shutdown(timeout)
}

// reconcile submits the stage attempts that the state machine wants to run and
// that a crash kept from being submitted.
func (e *Engine) reconcile(ctx context.Context) error {
	unfinished, err := e.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, execution := range unfinished {
		for _, stage := range execution.Stages {
			if stage.Status != pipeline.StatusInProgress {
				continue
			}
			e.durable.resubmit(attempt{
				Pipeline: execution.Pipeline, Execution: execution.ID, Stage: stage.Name, Number: stage.Attempt, Segment: stage.Segment, Walk: stage.Walk,
			})
		}
	}
	return nil
}

// LogFile is where the log of one action attempt is. The file appears when the
// action starts.
func (e *Engine) LogFile(execution, stage string, attempt int, action string) string {
	return filepath.Join(e.Dir, "logs", execution, fmt.Sprintf("%s.%d.%s.log", stage, attempt, action))
}

func (e *Engine) workDir(execution string) string { return filepath.Join(e.Dir, "work", execution) }

// clean removes the working directories of an execution that has ended.
func (e *Engine) clean(execution string) {
	if err := os.RemoveAll(e.workDir(execution)); err != nil {
		e.Logger.Warn("remove working directory", "execution", execution, "error", err)
	}
}
