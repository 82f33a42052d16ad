package awsapi

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
)

func (h *Handler) getState(ctx context.Context, c wire.Call, in *codepipeline.GetPipelineStateInput) (*codepipeline.GetPipelineStateOutput, error) {
	definition, state, err := h.Records.PipelineState(ctx, *in.Name)
	if err != nil {
		return nil, missingPipeline(c, *in.Name, err)
	}
	p := definition.Pipeline
	out := &codepipeline.GetPipelineStateOutput{
		PipelineName: &p.Name, PipelineVersion: new(int32(p.Version)), Updated: when(definition.Updated),
		StageStates: []types.StageState{},
	}
	for i := range p.Stages {
		out.StageStates = append(out.StageStates, stageState(p, i, state))
	}
	return out, nil
}

// stageState is how one stage of a pipeline stands: who waits for it, whether
// they may enter, and what the one that entered last has done there.
func stageState(p pipeline.Pipeline, index int, state pipeline.State) types.StageState {
	definition := p.Stages[index]
	out := types.StageState{StageName: &definition.Name, InboundTransitionState: transitionState(p, index, state.Disabled)}
	for _, id := range state.Waiting(definition.Name) {
		e, _ := find(state, id)
		out.InboundExecutions = append(out.InboundExecutions, types.StageExecution{PipelineExecutionId: &e.ID, Status: types.StageExecutionStatusInProgress, Type: executionType(e)})
	}
	if n := len(out.InboundExecutions); n > 0 {
		out.InboundExecution = &out.InboundExecutions[n-1]
	}
	e, entered := find(state, state.Latest[definition.Name])
	var s pipeline.StageState
	if entered {
		if there := e.Stage(definition.Name); there != nil {
			s = *there
			out.LatestExecution = &types.StageExecution{PipelineExecutionId: &e.ID, Status: stageStatus(e, s), Type: executionType(e)}
		}
	}
	for _, a := range definition.Actions {
		out.ActionStates = append(out.ActionStates, actionState(e, s, a))
	}
	out.BeforeEntryConditionState = conditionState(e, s, definition, pipeline.BeforeEntry)
	out.OnSuccessConditionState = conditionState(e, s, definition, pipeline.OnSuccess)
	out.OnFailureConditionState = conditionState(e, s, definition, pipeline.OnFailure)
	out.RetryStageMetadata = retryMetadata(s)
	return out
}

func find(state pipeline.State, id string) (pipeline.Execution, bool) {
	i := slices.IndexFunc(state.Executions, func(e pipeline.Execution) bool { return e.ID == id })
	if i < 0 {
		return pipeline.Execution{}, false
	}
	return state.Executions[i], true
}

func transitionState(p pipeline.Pipeline, index int, disabled []pipeline.Transition) *types.TransitionState {
	before := ""
	if index > 0 {
		before = p.Stages[index-1].Name
	}
	i := slices.IndexFunc(disabled, func(t pipeline.Transition) bool { return t.Between(before, p.Stages[index].Name) })
	if i < 0 {
		return &types.TransitionState{Enabled: true}
	}
	t := disabled[i]
	return &types.TransitionState{DisabledReason: text(t.Reason), LastChangedBy: text(t.By), LastChangedAt: when(t.At)}
}

func stageStatus(e pipeline.Execution, s pipeline.StageState) types.StageExecutionStatus {
	if e.Status == pipeline.ExecutionStopping && s.Status == pipeline.StatusInProgress {
		return types.StageExecutionStatusStopping
	}
	return types.StageExecutionStatus(s.Status)
}

func actionState(e pipeline.Execution, s pipeline.StageState, definition pipeline.Action) types.ActionState {
	out := types.ActionState{ActionName: &definition.Name}
	i := slices.IndexFunc(s.Actions, func(a pipeline.ActionState) bool { return a.Name == definition.Name })
	if i < 0 || s.Actions[i].Status == pipeline.StatusPending {
		return out
	}
	a := s.Actions[i]
	number := cmp.Or(a.Attempt, s.Attempt)
	out.LatestExecution = &types.ActionExecution{
		ActionExecutionId: new(actionID(e, s.Name, number, "", a.Name)),
		Status:            types.ActionExecutionStatus(a.Status), LastStatusChange: when(latest(a.Started, a.Ended)), LastUpdatedBy: text(a.By),
	}
	if a.Status == pipeline.StatusInProgress && a.Type.Manual() {
		out.LatestExecution.Token = new(pipeline.ApprovalToken(e.ID, s.Name, number, a.Name))
	}
	if a.Result != nil {
		out.LatestExecution.Summary = text(a.Result.Summary)
		out.LatestExecution.ErrorDetails = errorDetails(a.Result)
	}
	if definition.Type.Category == pipeline.CategorySource && e.Revision.Commit != "" {
		out.CurrentRevision = &types.ActionRevision{RevisionId: &e.Revision.Commit, RevisionChangeId: &e.Revision.Commit, Created: when(e.Revision.Time)}
		if out.CurrentRevision.Created == nil {
			out.CurrentRevision.Created = when(a.Started)
		}
	}
	return out
}

// errorDetails says why an action did not succeed. Faulted means that Towline
// could not run it.
func errorDetails(r *pipeline.Result) *types.ErrorDetails {
	switch {
	case r == nil || r.Outcome == pipeline.Succeeded:
		return nil
	case r.Outcome == pipeline.Faulted:
		return &types.ErrorDetails{Code: new("SystemUnavailable"), Message: text(r.Message)}
	}
	return &types.ErrorDetails{Code: new("JobFailed"), Message: text(r.Message)}
}

// conditionState is nil for a stage without such a condition.
func conditionState(e pipeline.Execution, s pipeline.StageState, definition pipeline.Stage, kind pipeline.ConditionKind) *types.StageConditionState {
	condition := definition.Condition(kind)
	if condition == nil {
		return nil
	}
	out := &types.StageConditionState{}
	one := types.ConditionState{}
	asked := s.Condition(kind)
	if asked != nil {
		status := types.ConditionExecutionStatus(asked.Status)
		out.LatestExecution = &types.StageConditionsExecution{Status: status, Summary: overriddenBy(*asked)}
		one.LatestExecution = &types.ConditionExecution{Status: status, Summary: overriddenBy(*asked), LastStatusChange: when(asked.At)}
	}
	for _, rule := range condition.Rules {
		state := types.RuleState{RuleName: &rule.Name}
		if asked != nil {
			state.LatestExecution = ruleExecution(e, s, *asked, rule.Name)
		}
		one.RuleStates = append(one.RuleStates, state)
	}
	out.ConditionStates = []types.ConditionState{one}
	return out
}

func overriddenBy(c pipeline.ConditionState) *string {
	if c.By == "" {
		return nil
	}
	return new("overridden by " + c.By)
}

func ruleExecution(e pipeline.Execution, s pipeline.StageState, asked pipeline.ConditionState, name string) *types.RuleExecution {
	i := slices.IndexFunc(asked.Rules, func(r pipeline.ActionState) bool { return r.Name == name })
	if i < 0 || asked.Rules[i].Status == pipeline.StatusPending {
		return nil
	}
	r := asked.Rules[i]
	out := &types.RuleExecution{
		RuleExecutionId: new(actionID(e, s.Name, cmp.Or(r.Attempt, s.Attempt), asked.Kind, r.Name)),
		Status:          types.RuleExecutionStatus(r.Status), LastStatusChange: when(latest(r.Started, r.Ended)), LastUpdatedBy: text(r.By),
		ErrorDetails: errorDetails(r.Result),
	}
	if r.Result != nil {
		out.Summary = text(r.Result.Summary)
	} else if r.Waits != "" {
		out.Summary = text("waits for " + r.Waits)
	}
	return out
}

func retryMetadata(s pipeline.StageState) *types.RetryStageMetadata {
	if s.Automatic+s.Manual == 0 {
		return nil
	}
	out := &types.RetryStageMetadata{LatestRetryTrigger: types.RetryTriggerManualStageRetry}
	if s.Automatic > 0 {
		out.AutoStageRetryAttempt = new(int32(s.Automatic))
	}
	if s.Manual > 0 {
		out.ManualStageRetryAttempt = new(int32(s.Manual))
	} else {
		out.LatestRetryTrigger = types.RetryTriggerAutomatedStageRetry
	}
	return out
}
