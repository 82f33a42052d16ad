package awsapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// run is one run of an action, or of a rule of a condition.
type run struct {
	execution pipeline.Execution
	stage     string
	attempt   int
	condition pipeline.ConditionKind // of a rule
	state     pipeline.ActionState
}

func (r run) id() string {
	return actionID(r.execution, r.stage, r.attempt, r.condition, r.state.Name)
}

// runsOf are all runs of an execution, newest first: of its actions, or of its
// rules. With lastAttempt, only those of the last attempt of each stage.
func runsOf(e pipeline.Execution, rules, lastAttempt bool) (runs []run) {
	for _, s := range e.Stages {
		all := attempts(s)
		if lastAttempt {
			all = all[len(all)-1:]
		}
		for _, a := range all {
			if !rules {
				for _, state := range a.actions {
					runs = append(runs, run{e, s.Name, a.number, "", state})
				}
				continue
			}
			for _, c := range a.conditions {
				for _, state := range c.Rules {
					if state.Status != pipeline.StatusPending {
						runs = append(runs, run{e, s.Name, cmp.Or(state.Attempt, a.number), c.Kind, state})
					}
				}
			}
		}
	}
	slices.SortStableFunc(runs, func(a, b run) int { return b.state.Started.Compare(a.state.Started) })
	return runs
}

// runFilter is what ListActionExecutions and ListRuleExecutions choose by.
type runFilter struct {
	pipeline  string
	execution string // "" for all
	latest    bool   // only the last attempts
	rules     bool
}

// filterOf reads a filter of the API, in which the latest ones of an execution
// and all of one are told apart.
func filterOf(in *codepipeline.ListActionExecutionsInput) (f runFilter, err error) {
	f.pipeline = *in.PipelineName
	if in.Filter == nil {
		return f, nil
	}
	f.execution = aws.ToString(in.Filter.PipelineExecutionId)
	if last := in.Filter.LatestInPipelineExecution; last != nil {
		if f.execution != "" {
			return f, wire.Faultf("ValidationException", "The filter names an execution both by pipelineExecutionId and by latestInPipelineExecution. Use one.")
		}
		// The range of all time shows earlier attempts too.
		f.execution, f.latest = aws.ToString(last.PipelineExecutionId), last.StartTimeRange != types.StartTimeRangeAll
	}
	return f, nil
}

// runs are one page of them, newest execution first.
func (h *Handler) runs(ctx context.Context, c wire.Call, f runFilter, page pageAsked) (found []run, next *string, err error) {
	list := wire.List(c.Operation, f.pipeline, f.execution, strconv.FormatBool(f.latest))
	place, err := h.pages().Place(list, page.token)
	if err != nil {
		return nil, nil, err
	}
	// A place is an execution's number and how many of its runs were shown.
	var number, shown int
	if place != "" {
		if _, err := fmt.Sscanf(place, "%d/%d", &number, &shown); err != nil {
			return nil, nil, fmt.Errorf("read the place in a list: %w", err)
		}
	}
	most := wire.Size(page.most, 100)
	executions, err := h.executionsOf(ctx, c, f, number)
	if err != nil {
		return nil, nil, err
	}
	for e, err := range executions {
		if err != nil {
			return nil, nil, err
		}
		runs := runsOf(e, f.rules, f.latest)
		if e.Number != number {
			shown = 0
		}
		number = e.Number
		for _, r := range runs[min(shown, len(runs)):] {
			if len(found) == most {
				return found, new(h.pages().Next(list, fmt.Sprintf("%d/%d", number, shown))), nil
			}
			found = append(found, r)
			shown++
		}
	}
	return found, nil, nil
}

// pageAsked is which page of a list a request asks for.
type pageAsked struct {
	token *string
	most  *int32
}

// executionsOf goes through the executions that a filter lets through, from a
// number on, or with 0 from the newest.
func (h *Handler) executionsOf(ctx context.Context, c wire.Call, f runFilter, from int) (func(yield func(pipeline.Execution, error) bool), error) {
	if f.execution != "" {
		e, err := h.execution(ctx, c, f.pipeline, f.execution)
		return func(yield func(pipeline.Execution, error) bool) { yield(e, nil) }, err
	}
	if _, err := h.Records.Pipeline(ctx, f.pipeline); err != nil {
		return nil, missingPipeline(c, f.pipeline, err)
	}
	if from > 0 {
		from++
	}
	return h.walkExecutions(ctx, f.pipeline, from), nil
}

func (h *Handler) listActionExecutions(ctx context.Context, c wire.Call, in *codepipeline.ListActionExecutionsInput) (*codepipeline.ListActionExecutionsOutput, error) {
	f, err := filterOf(in)
	if err != nil {
		return nil, err
	}
	found, next, err := h.runs(ctx, c, f, pageAsked{in.NextToken, in.MaxResults})
	if err != nil {
		return nil, err
	}
	out := &codepipeline.ListActionExecutionsOutput{ActionExecutionDetails: []types.ActionExecutionDetail{}, NextToken: next}
	for _, r := range found {
		out.ActionExecutionDetails = append(out.ActionExecutionDetails, actionDetail(r, h.Secret))
	}
	return out, nil
}

func actionDetail(r run, secret pipeline.SecretMember) types.ActionExecutionDetail {
	e, a := r.execution, r.state
	out := types.ActionExecutionDetail{
		PipelineExecutionId: &e.ID, ActionExecutionId: new(r.id()), PipelineVersion: version(e), StageName: &r.stage, ActionName: &a.Name,
		StartTime: when(a.Started), LastUpdateTime: when(latest(a.Started, a.Ended)), UpdatedBy: text(a.By), Status: types.ActionExecutionStatus(a.Status),
		Input: &types.ActionExecutionInput{}, Output: &types.ActionExecutionOutput{},
	}
	definition, _, _ := e.Definition.Stage(r.stage)
	if i := slices.IndexFunc(definition.Actions, func(d pipeline.Action) bool { return d.Name == a.Name }); i >= 0 {
		d := definition.Actions[i]
		out.Input = &types.ActionExecutionInput{
			ActionTypeId:  &types.ActionTypeId{Category: types.ActionCategory(d.Type.Category), Owner: types.ActionOwner(d.Type.Owner), Provider: &d.Type.Provider, Version: &d.Type.Version},
			Configuration: flat(pipeline.MaskConfiguration(d.Type, d.Configuration, secret)), InputArtifacts: artifactsNamed(d.Inputs), Namespace: text(d.Namespace),
		}
		if resolved, err := e.Configuration(d); err == nil {
			out.Input.ResolvedConfiguration = flat(pipeline.MaskConfiguration(d.Type, resolved, secret))
		}
	}
	if result := a.Result; result != nil {
		out.Output = &types.ActionExecutionOutput{
			OutputArtifacts: artifactsMade(e.Pipeline, result.Artifacts), OutputVariables: result.Variables,
			ExecutionResult: &types.ActionExecutionResult{ExternalExecutionId: new(r.id()), ExternalExecutionSummary: text(result.Summary), ErrorDetails: errorDetails(result)},
		}
	}
	return out
}

// artifactsMade are artifacts with their places in S3.
func artifactsMade(pipelineName string, made []pipeline.Artifact) []types.ArtifactDetail {
	out := []types.ArtifactDetail{}
	for _, a := range made {
		out = append(out, types.ArtifactDetail{Name: &a.Name, S3location: &types.S3Location{Bucket: new(store.ArtifactBucket), Key: new(store.ArtifactKey(pipelineName, a))}})
	}
	return out
}

func artifactsNamed(names []string) []types.ArtifactDetail {
	out := []types.ArtifactDetail{}
	for _, name := range names {
		out = append(out, types.ArtifactDetail{Name: &name})
	}
	return out
}

// flat is a configuration in AWS's form: texts by name. What is no text is
// shown as JSON.
func flat(configuration json.RawMessage) map[string]string {
	var members map[string]json.RawMessage
	if json.Unmarshal(configuration, &members) != nil || len(members) == 0 {
		return nil
	}
	out := map[string]string{}
	for name, value := range members {
		var s string
		if json.Unmarshal(value, &s) != nil {
			s = strings.TrimSpace(string(value))
		}
		out[name] = s
	}
	return out
}

func (h *Handler) listRuleExecutions(ctx context.Context, c wire.Call, in *codepipeline.ListRuleExecutionsInput) (*codepipeline.ListRuleExecutionsOutput, error) {
	same := &codepipeline.ListActionExecutionsInput{PipelineName: in.PipelineName}
	if in.Filter != nil {
		same.Filter = &types.ActionExecutionFilter{PipelineExecutionId: in.Filter.PipelineExecutionId, LatestInPipelineExecution: in.Filter.LatestInPipelineExecution}
	}
	f, err := filterOf(same)
	if err != nil {
		return nil, err
	}
	f.rules = true
	found, next, err := h.runs(ctx, c, f, pageAsked{in.NextToken, in.MaxResults})
	if err != nil {
		return nil, err
	}
	out := &codepipeline.ListRuleExecutionsOutput{RuleExecutionDetails: []types.RuleExecutionDetail{}, NextToken: next}
	for _, r := range found {
		out.RuleExecutionDetails = append(out.RuleExecutionDetails, ruleDetail(r))
	}
	return out, nil
}

func ruleDetail(r run) types.RuleExecutionDetail {
	e, a := r.execution, r.state
	out := types.RuleExecutionDetail{
		PipelineExecutionId: &e.ID, RuleExecutionId: new(r.id()), PipelineVersion: version(e), StageName: &r.stage, RuleName: &a.Name,
		StartTime: when(a.Started), LastUpdateTime: when(latest(a.Started, a.Ended)), UpdatedBy: text(a.By), Status: types.RuleExecutionStatus(a.Status),
		Input: &types.RuleExecutionInput{}, Output: &types.RuleExecutionOutput{},
	}
	definition, _, _ := e.Definition.Stage(r.stage)
	if condition := definition.Condition(r.condition); condition != nil {
		if i := slices.IndexFunc(condition.Rules, func(d pipeline.Rule) bool { return d.Name == a.Name }); i >= 0 {
			d := condition.Rules[i]
			out.Input = &types.RuleExecutionInput{
				RuleTypeId:    &types.RuleTypeId{Category: types.RuleCategoryRule, Owner: types.RuleOwner(d.Type.Owner), Provider: &d.Type.Provider, Version: text(d.Type.Version)},
				Configuration: flat(d.Configuration), InputArtifacts: artifactsNamed(d.Inputs),
			}
		}
	}
	if a.Result != nil {
		out.Output.ExecutionResult = &types.RuleExecutionResult{ExternalExecutionId: new(r.id()), ExternalExecutionSummary: text(a.Result.Summary), ErrorDetails: errorDetails(a.Result)}
	}
	return out
}
