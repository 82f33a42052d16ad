package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// transition is what one event led to.
type transition struct {
	Actions   []pipeline.RunAction   // to start in this attempt, or in Next
	Next      *attempt               // with which the worker goes on, nil for none; it has been entered
	Stages    []attempt              // to submit
	Abandoned []pipeline.CancelStage // to interrupt
	Changed   []string               // executions that look different now
	Ended     []string               // executions that have ended
}

func (t *transition) add(more transition) {
	t.Actions = append(t.Actions, more.Actions...)
	t.Stages = append(t.Stages, more.Stages...)
	t.Abandoned = append(t.Abandoned, more.Abandoned...)
	t.Changed = append(t.Changed, more.Changed...)
	t.Ended = append(t.Ended, more.Ended...)
}

// apply lets the state machine act on an event and saves what changed, in the
// caller's transaction. About are executions that may have ended and that the
// event speaks of.
func (e *Engine) apply(ctx context.Context, q store.Querier, name string, event pipeline.Event, about ...string) (transition, error) {
	before, err := known(ctx, q, name, event, about)
	if err != nil {
		return transition{}, err
	}
	after, commands, err := pipeline.Apply(before, event)
	if err != nil {
		return transition{}, err
	}
	next, err := e.save(ctx, q, name, before, after)
	if err != nil {
		return transition{}, err
	}
	for _, command := range commands {
		switch c := command.(type) {
		case pipeline.RunAction:
			next.Actions = append(next.Actions, c)
		case pipeline.RunStage:
			next.Stages = append(next.Stages, attempt{Pipeline: name, Execution: c.Execution, Stage: c.Stage, Number: c.Attempt, Segment: c.Segment})
		case pipeline.CancelStage:
			next.Abandoned = append(next.Abandoned, c)
		case pipeline.RollBack:
			more, err := e.rollBackBySelf(ctx, q, name, c)
			if err != nil {
				return transition{}, err
			}
			next.add(more)
		default:
			return transition{}, fmt.Errorf("obey %T: no such command", c)
		}
	}
	return next, nil
}

// known is what the machine has to know for an event: less, when it is about
// executions that run in parallel and of which there may be many.
func known(ctx context.Context, q store.Querier, name string, event pipeline.Event, about []string) (pipeline.State, error) {
	if begins, ok := event.(pipeline.Started); ok && begins.Execution.Definition.Mode == pipeline.ModeParallel {
		return store.StateAlone(ctx, q, name, nil)
	}
	if len(about) == 1 {
		e, err := store.GetExecution(ctx, q, about[0])
		if err != nil {
			return pipeline.State{}, err
		}
		if e.Definition.Mode == pipeline.ModeParallel {
			return store.StateAlone(ctx, q, name, &e)
		}
	}
	return store.State(ctx, q, name, about...)
}

// save writes what an event has changed, and what is to be told of it.
func (e *Engine) save(ctx context.Context, q store.Querier, name string, before, after pipeline.State) (next transition, err error) {
	for i, execution := range after.Executions {
		var was pipeline.Execution
		if i < len(before.Executions) {
			if was = before.Executions[i]; was.Sequence == execution.Sequence {
				continue
			}
		}
		if err := e.saveExecution(ctx, q, was, execution); err != nil {
			return next, err
		}
		next.Changed = append(next.Changed, execution.ID)
		if execution.Done() {
			next.Ended = append(next.Ended, execution.ID)
		}
	}
	for stage, id := range after.Latest {
		if before.Latest[stage] == id {
			continue
		}
		if err := store.SetLatest(ctx, q, name, stage, id); err != nil {
			return next, err
		}
	}
	if !slices.Equal(before.Disabled, after.Disabled) {
		return next, store.SetTransitions(ctx, q, name, after.Disabled)
	}
	return next, nil
}

// saveExecution writes an execution that has changed.
func (e *Engine) saveExecution(ctx context.Context, q store.Querier, was, is pipeline.Execution) error {
	if err := store.SaveExecution(ctx, q, is); err != nil {
		return err
	}
	if err := store.AddChanges(ctx, q, pipeline.NewChangeSet(was, is, e.Now())); err != nil {
		return err
	}
	for _, stage := range is.Stages {
		earlier := was.Stage(stage.Name)
		if stage.Status != pipeline.StatusSucceeded || earlier != nil && earlier.Status == stage.Status {
			continue
		}
		if err := store.SetSucceeded(ctx, q, is.Pipeline, stage.Name, is.ID); err != nil {
			return err
		}
	}
	return nil
}

// tell lets the state machine act on something that did not happen in a
// stage's worker, and sees to what follows.
func (e *Engine) tell(ctx context.Context, name string, event pipeline.Event, about ...string) error {
	var next transition
	err := e.Store.Update(ctx, func(q store.Querier) (err error) {
		next, err = e.apply(ctx, q, name, event, about...)
		return err
	})
	if err != nil {
		return err
	}
	e.settle(next)
	e.watch.spread(name) // Also of a transition, which changes no execution at once.
	return nil
}

// settle does what a transition asks for outside of the stage's own worker.
func (e *Engine) settle(next transition) {
	for _, c := range next.Abandoned {
		e.present.dismiss(c)
	}
	for _, id := range next.Ended {
		e.present.whenGone(id, func() { e.clean(id) })
	}
	e.watch.notify(next.Changed...)
	e.watch.spread(pipelinesOf(next.Changed)...)
	for _, at := range next.Stages {
		e.durable.submit(at)
	}
}
