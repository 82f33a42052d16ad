package awsapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// errAnswered ends the transaction of a start that has been made before.
var errAnswered = errors.New("this request has been answered")

func (h *Handler) start(ctx context.Context, c wire.Call, in *codepipeline.StartPipelineExecutionInput) (*codepipeline.StartPipelineExecutionOutput, error) {
	req := engine.StartRequest{
		Pipeline: *in.Name, Variables: map[string]string{},
		Trigger: pipeline.Trigger{Type: pipeline.TriggerManual, Detail: c.Who()},
	}
	for _, v := range in.Variables {
		req.Variables[aws.ToString(v.Name)] = aws.ToString(v.Value)
	}
	for _, o := range in.SourceRevisions {
		req.Overrides = append(req.Overrides, pipeline.Override{Action: aws.ToString(o.ActionName), Type: string(o.RevisionType), Value: aws.ToString(o.RevisionValue)})
	}
	var known store.ClientRequest
	if in.ClientRequestToken != nil {
		asked, err := h.asked(c, *in.ClientRequestToken, in)
		if err != nil {
			return nil, err
		}
		req.Also = func(ctx context.Context, q store.Querier) error { return keep(ctx, q, *in.Name, asked, &known) }
	}
	e, err := h.Starts.Start(ctx, req)
	if errors.Is(err, errAnswered) {
		e, err = h.answered(ctx, in, known)
	}
	if err != nil {
		return nil, missingPipeline(c, *in.Name, refused(err))
	}
	return &codepipeline.StartPipelineExecutionOutput{PipelineExecutionId: &e.ID}, nil
}

// asked is a request with its client's token, as it is kept.
func (h *Handler) asked(c wire.Call, token string, in *codepipeline.StartPipelineExecutionInput) (store.ClientRequest, error) {
	without := *in
	without.ClientRequestToken = nil
	text, err := wire.Encode(without)
	if err != nil {
		return store.ClientRequest{}, err
	}
	sum := sha256.Sum256(text)
	return store.ClientRequest{Operation: c.Operation, Token: token, Digest: hex.EncodeToString(sum[:]), At: h.Now()}, nil
}

// keep records the number that the execution is about to get, in the
// transaction that starts it.
func keep(ctx context.Context, q store.Querier, name string, asked store.ClientRequest, known *store.ClientRequest) error {
	definition, err := store.GetPipeline(ctx, q, name)
	if err != nil {
		return err
	}
	asked.Answer = strconv.Itoa(definition.Executions + 1)
	before, ok, err := store.KeepRequest(ctx, q, asked)
	if err == nil && ok {
		before.Operation, before.Token = asked.Operation, asked.Token
		*known, err = before, errAnswered
		if before.Digest != asked.Digest {
			err = wire.Faultf("ConflictException", "The clientRequestToken '%s' was used before with other parameters. Use a new one.", asked.Token)
		}
	}
	return err
}

// answered finds the execution that the same request has started before.
func (h *Handler) answered(ctx context.Context, in *codepipeline.StartPipelineExecutionInput, known store.ClientRequest) (pipeline.Execution, error) {
	number, err := strconv.Atoi(known.Answer)
	if err != nil {
		return pipeline.Execution{}, fmt.Errorf("read the answer to an earlier request: %w", err)
	}
	found, err := h.Records.Executions(ctx, *in.Name, number+1, 1)
	if err == nil && (len(found) == 0 || found[0].Number != number) {
		err = fmt.Errorf("execution %d of %s, which an earlier request has started, is not there", number, *in.Name)
	}
	if err != nil {
		return pipeline.Execution{}, err
	}
	return found[0], nil
}

func (h *Handler) stop(ctx context.Context, c wire.Call, in *codepipeline.StopPipelineExecutionInput) (*codepipeline.StopPipelineExecutionOutput, error) {
	e, err := h.execution(ctx, c, *in.PipelineName, *in.PipelineExecutionId)
	if err != nil {
		return nil, err
	}
	reason := aws.ToString(in.Reason)
	err = h.Decisions.StopExecution(ctx, e.ID, in.Abandon, reason)
	if errors.Is(err, pipeline.ErrNotStoppable) && e.Status == pipeline.ExecutionStopping {
		return nil, wire.Faultf("DuplicatedStopRequestException", "The execution '%s' is being stopped already; only abandoning it is more.", e.ID)
	}
	if err != nil {
		return nil, refused(err)
	}
	return &codepipeline.StopPipelineExecutionOutput{PipelineExecutionId: &e.ID}, nil
}

func (h *Handler) retry(ctx context.Context, c wire.Call, in *codepipeline.RetryStageExecutionInput) (*codepipeline.RetryStageExecutionOutput, error) {
	e, err := h.execution(ctx, c, *in.PipelineName, *in.PipelineExecutionId)
	if err != nil {
		return nil, err
	}
	if err := hasStage(e, *in.StageName); err != nil {
		return nil, err
	}
	_, state, err := h.Records.PipelineState(ctx, e.Pipeline)
	if err != nil {
		return nil, err
	}
	err = h.Decisions.Retry(ctx, e.ID, *in.StageName, pipeline.RetryMode(in.RetryMode))
	if newest := state.Latest[*in.StageName]; errors.Is(err, pipeline.ErrNotRetryable) && newest != e.ID && e.Definition.Mode != pipeline.ModeParallel {
		return nil, wire.Faultf("NotLatestPipelineExecutionException", "The execution '%s' has been in the stage '%s' since.", newest, *in.StageName)
	}
	if err != nil {
		return nil, refused(err)
	}
	return &codepipeline.RetryStageExecutionOutput{PipelineExecutionId: &e.ID}, nil
}

func (h *Handler) rollBack(ctx context.Context, c wire.Call, in *codepipeline.RollbackStageInput) (*codepipeline.RollbackStageOutput, error) {
	definition, err := h.Records.Pipeline(ctx, *in.PipelineName)
	if err != nil {
		return nil, missingPipeline(c, *in.PipelineName, err)
	}
	if _, _, ok := definition.Pipeline.Stage(*in.StageName); !ok {
		return nil, noStage(*in.PipelineName, *in.StageName)
	}
	target, err := h.execution(ctx, c, *in.PipelineName, *in.TargetPipelineExecutionId)
	if err != nil {
		return nil, err
	}
	if target.Definition.Version != definition.Pipeline.Version && target.Stage(*in.StageName) == nil {
		return nil, wire.Faultf("PipelineExecutionOutdatedException", "The pipeline has changed since the execution '%s': it had no stage '%s'.", target.ID, *in.StageName)
	}
	e, err := h.Starts.RollBack(ctx, engine.RollbackRequest{
		Pipeline: *in.PipelineName, Stage: *in.StageName, Target: target.ID,
		Trigger: pipeline.Trigger{Type: pipeline.TriggerManualRollback, Detail: c.Who()},
	})
	if err != nil {
		return nil, refused(err)
	}
	return &codepipeline.RollbackStageOutput{PipelineExecutionId: &e.ID}, nil
}

func (h *Handler) override(ctx context.Context, c wire.Call, in *codepipeline.OverrideStageConditionInput) (*nothing, error) {
	e, err := h.execution(ctx, c, *in.PipelineName, *in.PipelineExecutionId)
	if err != nil {
		return nil, err
	}
	if err := hasStage(e, *in.StageName); err != nil {
		return nil, err
	}
	return &nothing{}, refused(h.Decisions.Override(ctx, pipeline.Overridden{
		Execution: e.ID, Stage: *in.StageName, Kind: pipeline.ConditionKind(in.ConditionType), By: c.Who(),
	}))
}

func (h *Handler) enableTransition(ctx context.Context, c wire.Call, in *codepipeline.EnableStageTransitionInput) (*nothing, error) {
	return h.setTransition(ctx, c, *in.PipelineName, pipeline.TransitionSet{
		Transition: pipeline.Transition{Stage: *in.StageName, Type: pipeline.TransitionType(in.TransitionType), By: c.Who()},
	})
}

func (h *Handler) disableTransition(ctx context.Context, c wire.Call, in *codepipeline.DisableStageTransitionInput) (*nothing, error) {
	return h.setTransition(ctx, c, *in.PipelineName, pipeline.TransitionSet{Disabled: true, Transition: pipeline.Transition{
		Stage: *in.StageName, Type: pipeline.TransitionType(in.TransitionType), Reason: *in.Reason, By: c.Who(),
	}})
}

func (h *Handler) setTransition(ctx context.Context, c wire.Call, name string, set pipeline.TransitionSet) (*nothing, error) {
	err := h.Decisions.SetTransition(ctx, name, set)
	if errors.Is(err, pipeline.ErrNoStage) {
		err = noStage(name, set.Stage)
	}
	return &nothing{}, missingPipeline(c, name, refused(err))
}
