package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// walk carries one stage attempt from its first action to its last, and goes on
// with the stage that follows in the same execution. It is called again from the
// start after a crash; r replays what was recorded. With an error it returns the
// attempt that it was in.
func (e *Engine) walk(r run, at attempt) (attempt, error) {
	next, err := r.transact("enter", func(ctx context.Context, q store.Querier) (transition, error) {
		next, err := e.enter(ctx, q, at)
		if err != nil {
			return transition{}, err
		}
		return e.goOn(ctx, q, at, next)
	})
	if err != nil {
		return at, fmt.Errorf("enter stage: %w", err)
	}
	running := 0
	for {
		e.follow(r, next)
		if next.Next != nil {
			at = *next.Next
		}
		running += len(next.Actions)
		if running == 0 {
			return at, nil
		}
		ended, err := r.await(running)
		if err != nil {
			return at, fmt.Errorf("await an action: %w", err)
		}
		running--
		next, err = r.transact("end "+ended.Action, func(ctx context.Context, q store.Querier) (transition, error) {
			next, err := e.apply(ctx, q, at.Pipeline, ended, at.Execution)
			if errors.Is(err, pipeline.ErrStale) {
				return transition{}, nil
			}
			if err != nil {
				return transition{}, err
			}
			return e.goOn(ctx, q, at, next)
		})
		if err != nil {
			return at, fmt.Errorf("end action %s: %w", ended.Action, err)
		}
	}
}

// goOn enters what follows in the execution, in the transaction in which the
// worker's attempt has ended: a worker of its own for each stage would cost
// three commits more. That the worker walks it is kept with the stage, so that
// the next process does not send another one.
func (e *Engine) goOn(ctx context.Context, q store.Querier, at attempt, next transition) (transition, error) {
	for {
		own := slices.IndexFunc(next.Stages, func(a attempt) bool { return a.Execution == at.Execution })
		if own < 0 {
			return next, nil
		}
		follows := next.Stages[own]
		follows.Walk = at.worker()
		next.Stages = slices.Delete(next.Stages, own, own+1)
		more, err := e.enter(ctx, q, follows)
		if err != nil {
			return transition{}, fmt.Errorf("enter stage %s: %w", follows.Stage, err)
		}
		next.add(more)
		next.Next = &follows
	}
}

// enter lets the attempt begin. When it has begun already, because an earlier
// walk of it broke off without a record, the actions that were running then
// run again: each is idempotent by its job's key.
func (e *Engine) enter(ctx context.Context, q store.Querier, at attempt) (transition, error) {
	next, err := e.apply(ctx, q, at.Pipeline, pipeline.StageEntered{Execution: at.Execution, Stage: at.Stage, Attempt: at.Number, Segment: at.Segment, Walk: at.Walk, At: e.Now()}, at.Execution)
	if !errors.Is(err, pipeline.ErrStale) {
		return next, err
	}
	execution, err := store.GetExecution(ctx, q, at.Execution)
	if err != nil {
		return transition{}, err
	}
	if s := execution.Stage(at.Stage); s != nil && s.Attempt == at.Number && s.Segment == at.Segment {
		next.Actions = pipeline.Running(execution, at.Stage)
	}
	return next, nil
}

// follow does what a transition asks for.
func (e *Engine) follow(r run, next transition) {
	for _, action := range next.Actions {
		r.start(func(ctx context.Context) pipeline.ActionEnded { return e.act(ctx, action) })
	}
	e.settle(next)
}
