package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// dueEvery is how often the engine looks for approvals and jobs whose time is
// over, and for what is to be run again. They are given days, or minutes of a
// window, so that a few seconds do not matter.
const dueEvery = 5 * time.Second

// Approve records what a person decided about a manual approval. The error
// wraps pipeline.ErrBadToken, ErrAlreadyDecided or ErrStale when there is
// nothing to decide.
func (e *Engine) Approve(ctx context.Context, decision pipeline.Approved) error {
	decision.At = e.Now()
	return e.about(ctx, decision.Execution, decision)
}

// StopExecution stops an execution once what is in progress has ended, or at
// once when that is to be abandoned. The error wraps pipeline.ErrNotStoppable.
func (e *Engine) StopExecution(ctx context.Context, id string, abandon bool, reason string) error {
	return e.about(ctx, id, pipeline.StopRequested{Execution: id, Abandon: abandon, Reason: reason, At: e.Now()})
}

// Retry runs a stage that has failed or was stopped again, in the same
// execution and with the same artifacts. The error wraps
// pipeline.ErrNotRetryable.
func (e *Engine) Retry(ctx context.Context, id, stage string, mode pipeline.RetryMode) error {
	return e.about(ctx, id, pipeline.RetryRequested{Execution: id, Stage: stage, Mode: mode, At: e.Now()})
}

// Override sets a condition aside. The error wraps pipeline.ErrNotOverridable
// or ErrNotLatest.
func (e *Engine) Override(ctx context.Context, override pipeline.Overridden) error {
	override.At = e.Now()
	return e.about(ctx, override.Execution, override)
}

// EndAction records how the program that works on an action outside of Towline
// says that it ended.
func (e *Engine) EndAction(ctx context.Context, ended pipeline.ActionEnded) error {
	ended.At, ended.Outside = e.Now(), true
	return e.about(ctx, ended.Execution, ended)
}

// SetTransition opens or closes the way into a stage or out of it.
func (e *Engine) SetTransition(ctx context.Context, name string, set pipeline.TransitionSet) error {
	set.At = e.Now()
	definition, err := e.Store.Pipeline(ctx, name)
	if err != nil {
		return err
	}
	if _, _, ok := definition.Pipeline.Stage(set.Stage); !ok {
		return fmt.Errorf("pipeline %s, stage %s: %w", name, set.Stage, pipeline.ErrNoStage)
	}
	if definition.Pipeline.Mode == pipeline.ModeParallel {
		return fmt.Errorf("pipeline %s: %w", name, pipeline.ErrNoTransitions)
	}
	return e.tell(ctx, name, set)
}

// about tells the machine of an event about one execution, which may have
// ended.
func (e *Engine) about(ctx context.Context, id string, event pipeline.Event) error {
	execution, err := e.Store.Execution(ctx, id)
	if err != nil {
		return err
	}
	if _, err := e.Store.Pipeline(ctx, execution.Pipeline); err != nil {
		return err // It was deleted, and its executions with it.
	}
	return e.tell(ctx, execution.Pipeline, event, id)
}

// watchDue gives up what nobody has ended in time, and has run again what has
// waited, until ctx ends.
func (e *Engine) watchDue(ctx context.Context) {
	tick := time.NewTicker(dueEvery)
	defer tick.Stop()
	for {
		if err := e.expire(ctx); err != nil && ctx.Err() == nil {
			e.Logger.Warn("give up what is over its time", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (e *Engine) expire(ctx context.Context) error {
	now := e.Now()
	due, err := e.Store.Due(ctx, now)
	if err != nil {
		return err
	}
	var errs []error
	for _, execution := range due {
		for _, run := range execution.Unattended() {
			if now.Before(execution.Action(run).Due) {
				continue
			}
			err := e.tell(ctx, execution.Pipeline, pipeline.Expired{Execution: execution.ID, Stage: run.Stage, Condition: run.Condition, Action: run.Action, At: now})
			if err != nil && !errors.Is(err, pipeline.ErrStale) && !errors.Is(err, store.ErrNotFound) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
