package engine

import (
	"context"
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
	var execution pipeline.Execution
	var next transition
	err := e.Store.Update(ctx, func(q store.Querier) error {
		if req.Also != nil {
			if err := req.Also(ctx, q); err != nil {
				return err
			}
		}
		definition, err := store.GetPipeline(ctx, q, req.Pipeline)
		if err != nil {
			return err
		}
		given, err := pipeline.Give(definition.Pipeline.Variables, req.Variables)
		if err != nil {
			return err
		}
		execution = pipeline.Execution{
			Definition: definition.Pipeline, Revision: req.Revision, Overrides: req.Overrides, Trigger: req.Trigger, Given: given,
		}
		next, err = e.begin(ctx, q, &execution, "")
		return err
	})
	if err != nil {
		return pipeline.Execution{}, err
	}
	e.Logger.Info("execution started", "pipeline", req.Pipeline, "execution", execution.ID, "revision", req.Revision.Commit)
	e.settle(next)
	return execution, nil
}

// begin numbers an execution and lets it begin, in the caller's transaction.
// The stage is that of a rollback.
func (e *Engine) begin(ctx context.Context, q store.Querier, execution *pipeline.Execution, stage string) (transition, error) {
	name := execution.Definition.Name
	number, err := store.NextNumber(ctx, q, name)
	if err != nil {
		return transition{}, err
	}
	execution.ID, execution.Pipeline, execution.Number, execution.Started = fmt.Sprintf("%s-%d", name, number), name, number, e.Now()
	return e.apply(ctx, q, name, pipeline.Started{Execution: *execution, Stage: stage})
}
