package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// walk carries one stage attempt from its first action to its last. It is
// called again from the start after a crash; r replays what was recorded.
func (e *Engine) walk(r run, at attempt) error {
	next, err := r.transact("enter", func(ctx context.Context, q store.Querier) (transition, error) {
		return e.enter(ctx, q, at)
	})
	if err != nil {
		return fmt.Errorf("enter stage: %w", err)
	}
	running := 0
	for {
		e.follow(r, next)
		running += len(next.Actions)
		if running == 0 {
			return nil
		}
		ended, err := r.await(running)
		if err != nil {
			return fmt.Errorf("await an action: %w", err)
		}
		running--
		next, err = r.transact("end "+ended.Action, func(ctx context.Context, q store.Querier) (transition, error) {
			next, err := e.apply(ctx, q, at.Pipeline, ended, at.Execution)
			if errors.Is(err, pipeline.ErrStale) {
				return transition{}, nil
			}
			return next, err
		})
		if err != nil {
			return fmt.Errorf("end action %s: %w", ended.Action, err)
		}
	}
}

// enter lets the attempt begin. When it has begun already, because an earlier
// walk of it broke off without a record, the actions that were running then
// run again: each is idempotent by its job's key.
func (e *Engine) enter(ctx context.Context, q store.Querier, at attempt) (transition, error) {
	next, err := e.apply(ctx, q, at.Pipeline, pipeline.StageEntered{Execution: at.Execution, Stage: at.Stage, Attempt: at.Number, Segment: at.Segment, At: e.Now()}, at.Execution)
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
