package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// RollbackRequest asks for a stage to be brought back to what an execution had
// there.
type RollbackRequest struct {
	Pipeline string
	Stage    string
	// Target is an execution that has succeeded in the stage; "" is the last one
	// before the one that the stage has now.
	Target  string
	Trigger pipeline.Trigger
}

// RollBack starts an execution that runs one stage with the revision, the
// variables and the artifacts of an execution that succeeded in it. The error
// wraps pipeline.ErrNoRollback when the stage is occupied, or the target has
// not succeeded in it, and pipeline.ErrNoStage when there is none of that name.
func (e *Engine) RollBack(ctx context.Context, req RollbackRequest) (pipeline.Execution, error) {
	var execution pipeline.Execution
	var next transition
	err := e.Store.Update(ctx, func(q store.Querier) error {
		definition, err := store.GetPipeline(ctx, q, req.Pipeline)
		if err != nil {
			return err
		}
		target, err := e.target(ctx, q, req)
		if err == nil && req.Target == "" {
			target, err = e.before(ctx, q, target, req.Stage)
		}
		if err == nil {
			execution, err = back(target, req.Stage, req.Trigger)
		}
		if errors.Is(err, pipeline.ErrNoRollback) {
			return cmp.Or(hasStage(definition.Pipeline, req.Stage), err)
		}
		if err != nil {
			return err
		}
		next, err = e.begin(ctx, q, &execution, req.Stage)
		return err
	})
	if err != nil {
		return pipeline.Execution{}, err
	}
	e.Logger.Info("rollback started", "pipeline", req.Pipeline, "stage", req.Stage, "execution", execution.ID, "target", execution.Target)
	e.settle(next)
	return execution, nil
}

// hasStage says which stages there are, when there is none of that name.
func hasStage(p pipeline.Pipeline, stage string) error {
	if _, _, ok := p.Stage(stage); ok {
		return nil
	}
	var names []string
	for _, s := range p.Stages {
		names = append(names, s.Name)
	}
	return fmt.Errorf("roll back stage %s of pipeline %s, which has %s: %w", stage, p.Name, strings.Join(names, ", "), pipeline.ErrNoStage)
}

// target is the execution that a rollback goes back to. One that was a rollback
// itself stands for the one that it went back to.
func (e *Engine) target(ctx context.Context, q store.Querier, req RollbackRequest) (pipeline.Execution, error) {
	id := req.Target
	if id == "" {
		var err error
		if id, err = store.GetSucceeded(ctx, q, req.Pipeline, req.Stage); errors.Is(err, store.ErrNotFound) {
			return pipeline.Execution{}, fmt.Errorf("roll back stage %s: no execution has succeeded in it: %w", req.Stage, pipeline.ErrNoRollback)
		} else if err != nil {
			return pipeline.Execution{}, err
		}
	}
	target, err := store.GetExecution(ctx, q, id)
	if err == nil && target.Type == pipeline.ExecutionRollback {
		target, err = store.GetExecution(ctx, q, target.Target)
	}
	if err == nil && target.Pipeline != req.Pipeline {
		err = fmt.Errorf("execution %s of pipeline %s: %w", id, req.Pipeline, store.ErrNotFound)
	}
	return target, err
}

// before is the last execution that succeeded in a stage before the one that the
// stage has now: going back to what is there would change nothing.
func (e *Engine) before(ctx context.Context, q store.Querier, now pipeline.Execution, stage string) (pipeline.Execution, error) {
	earlier, err := store.ExecutionsBefore(ctx, q, now.Pipeline, now.Number)
	if err != nil {
		return pipeline.Execution{}, err
	}
	for _, x := range earlier {
		if s := x.Stage(stage); x.Type != pipeline.ExecutionRollback && s != nil && s.Status == pipeline.StatusSucceeded {
			return x, nil
		}
	}
	return pipeline.Execution{}, fmt.Errorf("roll back stage %s: before %s, which it has now, no execution succeeded in it: %w", stage, now.ID, pipeline.ErrNoRollback)
}

// back is the execution that brings a stage back to target.
func back(target pipeline.Execution, stage string, trigger pipeline.Trigger) (pipeline.Execution, error) {
	i := slices.IndexFunc(target.Stages, func(s pipeline.StageState) bool { return s.Name == stage })
	if i < 0 || target.Stages[i].Status != pipeline.StatusSucceeded {
		return pipeline.Execution{}, fmt.Errorf("roll back stage %s: %s has not succeeded in it: %w", stage, target.ID, pipeline.ErrNoRollback)
	}
	before := target
	before.Stages = target.Stages[:i]
	return pipeline.Execution{
		Type: pipeline.ExecutionRollback, Target: target.ID, Definition: target.Definition, Revision: target.Revision,
		Overrides: target.Overrides, Given: target.Given, Trigger: trigger,
		Inherited: &pipeline.Inherited{Artifacts: before.Artifacts(), Variables: before.Variables()},
	}, nil
}

// rollBackBySelf obeys a failed stage's command. Without an execution to go
// back to, those that wait for the stage may have it.
func (e *Engine) rollBackBySelf(ctx context.Context, q store.Querier, name string, c pipeline.RollBack) (transition, error) {
	target, err := e.target(ctx, q, RollbackRequest{Pipeline: name, Stage: c.Stage})
	var execution pipeline.Execution
	if err == nil {
		execution, err = back(target, c.Stage, pipeline.Trigger{Type: pipeline.TriggerAutomatedRollback, Detail: c.Execution})
	}
	if errors.Is(err, pipeline.ErrNoRollback) || errors.Is(err, store.ErrNotFound) {
		e.Logger.Warn("no rollback", "pipeline", name, "stage", c.Stage, "execution", c.Execution, "error", err)
		return e.apply(ctx, q, name, pipeline.Woken{At: e.Now()})
	}
	if err != nil {
		return transition{}, err
	}
	return e.begin(ctx, q, &execution, c.Stage)
}
