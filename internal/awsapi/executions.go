package awsapi

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
)

func (h *Handler) getExecution(ctx context.Context, c wire.Call, in *codepipeline.GetPipelineExecutionInput) (*codepipeline.GetPipelineExecutionOutput, error) {
	e, err := h.execution(ctx, c, *in.PipelineName, *in.PipelineExecutionId)
	if err != nil {
		return nil, err
	}
	out := &types.PipelineExecution{
		PipelineName: &e.Pipeline, PipelineVersion: version(e), PipelineExecutionId: &e.ID,
		Status: types.PipelineExecutionStatus(e.Status), StatusSummary: text(e.Reason),
		ExecutionMode: executionMode(e), ExecutionType: executionType(e), Trigger: trigger(e), RollbackMetadata: rollback(e),
	}
	for _, name := range slices.Sorted(maps.Keys(e.Given)) {
		out.Variables = append(out.Variables, types.ResolvedPipelineVariable{Name: &name, ResolvedValue: new(e.Given[name])})
	}
	if action, ok := sourceOf(e); ok && e.Revision.Commit != "" {
		out.ArtifactRevisions = []types.ArtifactRevision{{
			Name: text(first(action.Outputs)), RevisionId: &e.Revision.Commit, RevisionSummary: text(e.Revision.Message), Created: when(e.Revision.Time),
		}}
	}
	return &codepipeline.GetPipelineExecutionOutput{PipelineExecution: out}, nil
}

// pageOfExecutions is how many executions are read at a time where most of
// them may be left out.
const pageOfExecutions = 100

func (h *Handler) listExecutions(ctx context.Context, c wire.Call, in *codepipeline.ListPipelineExecutionsInput) (*codepipeline.ListPipelineExecutionsOutput, error) {
	succeededIn := ""
	if in.Filter != nil && in.Filter.SucceededInStage != nil {
		succeededIn = aws.ToString(in.Filter.SucceededInStage.StageName)
	}
	list := wire.List("ListPipelineExecutions", *in.PipelineName, succeededIn)
	before, err := h.numberPlace(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	definition, err := h.Records.Pipeline(ctx, *in.PipelineName)
	if err != nil {
		return nil, missingPipeline(c, *in.PipelineName, err)
	}
	if _, _, ok := definition.Pipeline.Stage(succeededIn); succeededIn != "" && !ok {
		return nil, wire.Faultf("ValidationException", "The pipeline '%s' has no stage '%s'.", *in.PipelineName, succeededIn)
	}
	most := wire.Size(in.MaxResults, 100)
	out := &codepipeline.ListPipelineExecutionsOutput{PipelineExecutionSummaries: []types.PipelineExecutionSummary{}}
	for e, err := range h.walkExecutions(ctx, *in.PipelineName, before) {
		switch {
		case err != nil:
			return nil, err
		case succeededIn != "" && !succeeded(e, succeededIn):
			continue
		case len(out.PipelineExecutionSummaries) == most:
			// The place is the last one shown, not this one: it may be gone.
			out.NextToken = new(h.pages().Next(list, strconv.Itoa(before)))
			return out, nil
		}
		out.PipelineExecutionSummaries = append(out.PipelineExecutionSummaries, executionSummary(e))
		before = e.Number
	}
	return out, nil
}

// numberPlace is the place of a token that is the number of an execution.
func (h *Handler) numberPlace(list string, token *string) (int, error) {
	place, err := h.pages().Place(list, token)
	if err != nil || place == "" {
		return 0, err
	}
	return strconv.Atoi(place)
}

// walkExecutions goes through the executions before a number, newest first.
func (h *Handler) walkExecutions(ctx context.Context, name string, before int) func(yield func(pipeline.Execution, error) bool) {
	return func(yield func(pipeline.Execution, error) bool) {
		for {
			found, err := h.Records.Executions(ctx, name, before, pageOfExecutions)
			if err != nil {
				yield(pipeline.Execution{}, err)
				return
			}
			for _, e := range found {
				if !yield(e, nil) {
					return
				}
				before = e.Number
			}
			if len(found) < pageOfExecutions {
				return
			}
		}
	}
}

func succeeded(e pipeline.Execution, stage string) bool {
	s := e.Stage(stage)
	return s != nil && s.Status == pipeline.StatusSucceeded
}

func executionSummary(e pipeline.Execution) types.PipelineExecutionSummary {
	out := types.PipelineExecutionSummary{
		PipelineExecutionId: &e.ID, Status: types.PipelineExecutionStatus(e.Status), StatusSummary: text(e.Reason),
		StartTime: when(e.Started), LastUpdateTime: when(changed(e)), Trigger: trigger(e), RollbackMetadata: rollback(e),
		ExecutionMode: executionMode(e), ExecutionType: executionType(e), SourceRevisions: []types.SourceRevision{},
	}
	if e.Status == pipeline.ExecutionStopping || e.Status == pipeline.ExecutionStopped {
		out.StopTrigger = &types.StopExecutionTrigger{Reason: text(e.Reason)}
	}
	if action, ok := sourceOf(e); ok && e.Revision.Commit != "" {
		out.SourceRevisions = append(out.SourceRevisions, types.SourceRevision{
			ActionName: &action.Name, RevisionId: &e.Revision.Commit, RevisionSummary: text(e.Revision.Message),
		})
	}
	return out
}

// changed is the last instant at which something of the execution changed.
func changed(e pipeline.Execution) time.Time {
	last := e.Started
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			last = latest(last, latest(a.Started, a.Ended))
		}
	}
	return latest(last, e.Ended)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// sourceOf is the action that fetched the execution's revision.
func sourceOf(e pipeline.Execution) (pipeline.Action, bool) {
	for _, s := range e.Definition.Stages {
		for _, a := range s.Actions {
			if a.Type.Category == pipeline.CategorySource {
				return a, true
			}
		}
	}
	return pipeline.Action{}, false
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// text is nil for a text that says nothing, as members are left out then.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// when is nil for an instant that has not come.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func version(e pipeline.Execution) *int32 { return new(int32(e.Definition.Version)) }

func executionMode(e pipeline.Execution) types.ExecutionMode {
	if e.Definition.Mode == "" {
		return types.ExecutionModeSuperseded
	}
	return types.ExecutionMode(e.Definition.Mode)
}

func executionType(e pipeline.Execution) types.ExecutionType {
	if e.Type == "" {
		return types.ExecutionTypeStandard
	}
	return types.ExecutionType(e.Type)
}

func rollback(e pipeline.Execution) *types.PipelineRollbackMetadata {
	if e.Target == "" {
		return nil
	}
	return &types.PipelineRollbackMetadata{RollbackTargetPipelineExecutionId: &e.Target}
}

// trigger is the reason of an execution in AWS's words, which know no push to a
// git server of one's own.
func trigger(e pipeline.Execution) *types.ExecutionTrigger {
	out := &types.ExecutionTrigger{TriggerType: types.TriggerType(e.Trigger.Type), TriggerDetail: text(e.Trigger.Detail)}
	switch e.Trigger.Type {
	case pipeline.TriggerPush:
		out.TriggerType = types.TriggerTypeWebhookV2
	case pipeline.TriggerManual:
		out.TriggerType = types.TriggerTypeStartPipelineExecution
	}
	return out
}
