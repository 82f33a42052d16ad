package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// StartRequest asks for an execution.
type StartRequest struct {
	Pipeline  string
	Revision  pipeline.Revision
	Overrides []pipeline.Override
	Trigger   pipeline.Trigger
	// Variables are values for the pipeline's variables, by name.
	Variables map[string]string
	// Also runs first, in the transaction that starts the execution, so that
	// what caused it and the execution itself are recorded together. It may
	// be nil.
	Also func(context.Context, store.Querier) error
}

// StartExecution starts an execution of the pipeline as it is defined now. The
// execution is durable when it returns. The error is store.ErrNotFound when
// there is no such pipeline, pipeline.ErrTooMany when too many have not ended,
// and pipeline.Problems when the variables do not fit.
func (e *Engine) StartExecution(ctx context.Context, req StartRequest) (pipeline.Execution, error) {
	started, refused, err := e.StartExecutions(ctx, nil, req)
	if err = errors.Join(append(refused, err)...); err != nil {
		return pipeline.Execution{}, err
	}
	return started[0], nil
}

// StartExecutions starts several executions in one transaction, in which first
// runs before, if it is not nil. What is refused, because of pipeline.Problems
// or pipeline.ErrTooMany, keeps nobody else from starting; any other error keeps
// all of them, and what first has done, from having happened.
func (e *Engine) StartExecutions(ctx context.Context, first func(context.Context, store.Querier) error, requests ...StartRequest) (started []pipeline.Execution, refused []error, err error) {
	var next transition
	err = e.Store.Update(ctx, func(q store.Querier) error {
		if first != nil {
			if err := first(ctx, q); err != nil {
				return err
			}
		}
		for _, req := range requests {
			execution, more, err := e.start(ctx, q, req)
			if isRefusal(err) {
				refused = append(refused, fmt.Errorf("pipeline %s: %w", req.Pipeline, err))
				continue
			}
			if err != nil {
				return err
			}
			started = append(started, execution)
			next.add(more)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, x := range started {
		e.Logger.Info("execution started", "pipeline", x.Pipeline, "execution", x.ID, "revision", x.Revision.Commit)
	}
	e.settle(next)
	return started, refused, nil
}

// isRefusal tells errors about one start from those about all.
func isRefusal(err error) bool {
	_, problems := errors.AsType[pipeline.Problems](err)
	return problems || errors.Is(err, pipeline.ErrTooMany)
}

func (e *Engine) start(ctx context.Context, q store.Querier, req StartRequest) (pipeline.Execution, transition, error) {
	if req.Also != nil {
		if err := req.Also(ctx, q); err != nil {
			return pipeline.Execution{}, transition{}, err
		}
	}
	definition, err := store.GetPipeline(ctx, q, req.Pipeline)
	if err != nil {
		return pipeline.Execution{}, transition{}, err
	}
	given, err := pipeline.Give(definition.Pipeline.Variables, req.Variables)
	if err != nil {
		return pipeline.Execution{}, transition{}, err
	}
	execution := pipeline.Execution{
		Definition: definition.Pipeline, Revision: req.Revision, Overrides: req.Overrides, Trigger: req.Trigger, Given: given,
	}
	next, err := e.begin(ctx, q, &execution, "")
	return execution, next, err
}

// begin numbers an execution and lets it begin, in the caller's transaction,
// and fills in what has become of it.
// The stage is that of a rollback.
func (e *Engine) begin(ctx context.Context, q store.Querier, execution *pipeline.Execution, stage string) (transition, error) {
	name := execution.Definition.Name
	number, err := store.NextNumber(ctx, q, name)
	if err != nil {
		return transition{}, err
	}
	execution.ID, execution.Pipeline, execution.Number, execution.Started = fmt.Sprintf("%s-%d", name, number), name, number, e.Now()
	next, err := e.apply(ctx, q, name, pipeline.Started{Execution: *execution, Stage: stage})
	if err != nil {
		return transition{}, err
	}
	*execution, err = store.GetExecution(ctx, q, execution.ID) // as it is now that it has begun
	return next, err
}
