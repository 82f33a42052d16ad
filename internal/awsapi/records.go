package awsapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Records are what is known of pipelines and their executions. Errors wrap
// store.ErrNotFound for what is not there.
type Records interface {
	Pipeline(ctx context.Context, name string) (store.Definition, error)
	PipelineState(ctx context.Context, name string) (store.Definition, pipeline.State, error)
	Execution(ctx context.Context, id string) (pipeline.Execution, error)
	// Executions lists a pipeline's executions, newest first, those with a
	// number before the given one, or with 0 all.
	Executions(ctx context.Context, name string, before, limit int) ([]pipeline.Execution, error)
}

var _ Records = (*store.DB)(nil)

// Starts begins executions.
type Starts interface {
	// Start finds the revision that the request's overrides name, or the newest
	// one, and starts an execution with it. The request has none.
	Start(ctx context.Context, req engine.StartRequest) (pipeline.Execution, error)
	RollBack(ctx context.Context, req engine.RollbackRequest) (pipeline.Execution, error)
}

// Decisions are what people decide about executions. Errors wrap those of
// package pipeline.
type Decisions interface {
	Approve(ctx context.Context, decision pipeline.Approved) error
	StopExecution(ctx context.Context, id string, abandon bool, reason string) error
	Retry(ctx context.Context, id, stage string, mode pipeline.RetryMode) error
	Override(ctx context.Context, override pipeline.Overridden) error
	SetTransition(ctx context.Context, name string, set pipeline.TransitionSet) error
}

var _ Decisions = (*engine.Engine)(nil)

// execution is one of the pipeline's executions.
func (h *Handler) execution(ctx context.Context, c wire.Call, name, id string) (pipeline.Execution, error) {
	if _, err := h.Records.Pipeline(ctx, name); err != nil {
		return pipeline.Execution{}, missingPipeline(c, name, err)
	}
	e, err := h.Records.Execution(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && e.Pipeline != name {
		return e, wire.Faultf("PipelineExecutionNotFoundException", "The pipeline '%s' has no execution '%s'.", name, id)
	}
	return e, err
}

// hasStage is an error unless the execution has that stage.
func hasStage(e pipeline.Execution, name string) error {
	if e.Stage(name) == nil {
		return noStage(e.Pipeline, name)
	}
	return nil
}

func noStage(pipelineName, name string) *wire.Fault {
	return wire.Faultf("StageNotFoundException", "The pipeline '%s' has no stage '%s'.", pipelineName, name)
}

// refused tells what the state machine refuses in AWS's words, with its own as
// the message. Other errors stay as they are.
func refused(err error) error {
	for _, known := range []struct {
		err  error
		code string
	}{
		{pipeline.ErrNoStage, "StageNotFoundException"},
		{pipeline.ErrNoTransitions, "ValidationException"},
		{pipeline.ErrNotStoppable, "PipelineExecutionNotStoppableException"},
		{pipeline.ErrNotRetryable, "StageNotRetryableException"},
		{pipeline.ErrNotOverridable, "ConditionNotOverridableException"},
		{pipeline.ErrNotLatest, "NotLatestPipelineExecutionException"},
		{pipeline.ErrNoRollback, "UnableToRollbackStageException"},
		{pipeline.ErrBadToken, "InvalidApprovalTokenException"},
		{pipeline.ErrAlreadyDecided, "ApprovalAlreadyCompletedException"},
		{pipeline.ErrTooMany, "ConcurrentPipelineExecutionsLimitExceededException"},
		{pipeline.ErrStale, "ConflictException"},
	} {
		if errors.Is(err, known.err) {
			return &wire.Fault{Code: known.code, Message: err.Error()}
		}
	}
	if problems, ok := errors.AsType[pipeline.Problems](err); ok {
		return &wire.Fault{Code: string(cmp.Or(problems.Exception(), pipeline.InvalidValue)), Message: problems.String()}
	}
	return err
}

// attempt is one attempt of a stage, and what ran in it.
type attempt struct {
	number     int
	actions    []pipeline.ActionState
	conditions []pipeline.ConditionState
}

// attempts are all of a stage, oldest first.
func attempts(s pipeline.StageState) (all []attempt) {
	for _, a := range s.Earlier {
		all = append(all, attempt{a.Attempt, a.Actions, a.Conditions})
	}
	now := attempt{number: s.Attempt, conditions: s.Conditions}
	for _, a := range s.Actions {
		if a.Status != pipeline.StatusPending && (a.Attempt == s.Attempt || a.Attempt == 0) {
			now.actions = append(now.actions, a)
		}
	}
	return append(all, now)
}

// actionID is the name of one run of an action or a rule.
func actionID(e pipeline.Execution, stage string, attempt int, condition pipeline.ConditionKind, name string) string {
	if condition != "" {
		name = string(condition) + "." + name
	}
	return fmt.Sprintf("%s.%s.%d.%s", e.ID, stage, attempt, name)
}
