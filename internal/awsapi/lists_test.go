package awsapi

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func TestAStartIsMadeOnceForItsToken(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	r.define(t, "web")
	api, ctx := r.sdk(operatorID, secretKey), t.Context()
	start := func(token, tag string) (string, error) {
		out, err := api.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{
			Name: new("web"), ClientRequestToken: &token, Variables: []types.PipelineVariable{{Name: new("Tag"), Value: &tag}},
		})
		if err != nil {
			return "", err
		}
		return *out.PipelineExecutionId, nil
	}
	var together sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		together.Go(func() {
			id, err := start("one", "v1")
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	together.Wait()
	if slices.Sort(ids); len(slices.Compact(ids)) != 1 {
		t.Errorf("one token has started %v", slices.Compact(ids))
	}
	_, err := start("one", "v2")
	if _, ok := errors.AsType[*types.ConflictException](err); !ok {
		t.Errorf("error %v", err)
	}
	if id, err := start("two", "v1"); err != nil || id == ids[0] {
		t.Errorf("another token: %s %v", id, err)
	}
	if _, err := start("three", strings.Repeat("v", 1001)); codeOf(err) != "ValidationException" || strings.Contains(err.Error(), "vvv") {
		t.Errorf("error %v", err)
	}
	_, err = api.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{Name: new("web"), Variables: []types.PipelineVariable{{Name: new("Other"), Value: new("x")}}})
	if codeOf(err) != "ValidationException" || !strings.Contains(err.Error(), "the pipeline has no variable Other") {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	r.define(t, "web")
	r.define(t, "shop")
	id := r.start(t, "shop")
	api, ctx := r.sdk(adminID, secretKey), t.Context()
	const noPipeline = "PipelineNotFoundException: Account '123456789012' does not have a pipeline with name 'nope'"
	for name, c := range map[string]struct {
		call func() error
		want string
	}{
		"state": {func() error {
			_, err := api.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: new("nope")})
			return err
		}, noPipeline},
		"execution of another pipeline": {func() error {
			_, err := api.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: new("web"), PipelineExecutionId: &id})
			return err
		}, "PipelineExecutionNotFoundException: The pipeline 'web' has no execution 'shop-1'."},
		"start": {func() error {
			_, err := api.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{Name: new("nope"), ClientRequestToken: new("t")})
			return err
		}, noPipeline},
		"transition": {func() error {
			_, err := api.EnableStageTransition(ctx, &codepipeline.EnableStageTransitionInput{PipelineName: new("web"), StageName: new("Nope"), TransitionType: types.StageTransitionTypeOutbound})
			return err
		}, "StageNotFoundException: The pipeline 'web' has no stage 'Nope'."},
		"action": {func() error {
			in := approval("web", "01234567-89ab-cdef-0123-456789abcdef", types.ApprovalStatusApproved)
			in.ActionName = new("nobody")
			_, err := api.PutApprovalResult(ctx, in)
			return err
		}, "ActionNotFoundException: The stage 'GoAhead' of the pipeline 'web' has no action 'nobody'."},
		"condition": {func() error {
			_, err := api.OverrideStageCondition(ctx, &codepipeline.OverrideStageConditionInput{PipelineName: new("shop"), StageName: new("Deploy"), PipelineExecutionId: &id, ConditionType: types.ConditionTypeBeforeEntry})
			return err
		}, "ConditionNotOverridableException: condition BEFORE_ENTRY of stage Deploy of shop-1"},
		"form": {func() error {
			_, err := api.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: new("a b"), MaxResults: new(int32(101))})
			return err
		}, "ValidationException: 2 validation errors detected: Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100; " +
			"Value 'a b' at 'pipelineName' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.call(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

// TestConditionsAreShownAndSetAside has a rule that says no.
func TestConditionsAreShownAndSetAside(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	r.fail("window", true)
	r.define(t, "web", func(p *pipeline.Pipeline) {
		p.Stages[1].BeforeEntry = &pipeline.Condition{Result: pipeline.ResultFail, Rules: []pipeline.Rule{{
			Name: "window", Type: pipeline.ActionType{Category: pipeline.CategoryRule, Owner: "AWS", Provider: "DeploymentWindow", Version: "1"}, Configuration: json.RawMessage(`{"Cron":"* * * * *"}`),
		}}}
	})
	api, ctx := r.sdk(operatorID, secretKey), t.Context()
	id := r.start(t, "web")
	stage := r.in(t, "web", "Test", id, types.StageExecutionStatusFailed)
	condition := stage.BeforeEntryConditionState
	if condition == nil || condition.LatestExecution.Status != types.ConditionExecutionStatusFailed {
		t.Fatalf("condition %+v", condition)
	}
	rule := condition.ConditionStates[0].RuleStates[0]
	if *rule.RuleName != "window" || rule.LatestExecution.Status != types.RuleExecutionStatusFailed || *rule.LatestExecution.ErrorDetails.Message != "window said no" {
		t.Errorf("rule %+v", rule)
	}
	out, err := api.ListRuleExecutions(ctx, &codepipeline.ListRuleExecutionsInput{PipelineName: new("web"), Filter: &types.RuleExecutionFilter{PipelineExecutionId: &id}})
	if err != nil || len(out.RuleExecutionDetails) != 1 || *out.RuleExecutionDetails[0].Input.RuleTypeId.Provider != "DeploymentWindow" {
		t.Errorf("%v, rules %+v", err, out)
	}
	if _, err := api.OverrideStageCondition(ctx, &codepipeline.OverrideStageConditionInput{PipelineName: new("web"), StageName: new("Test"), PipelineExecutionId: &id, ConditionType: types.ConditionTypeBeforeEntry}); err != nil {
		t.Fatal(err)
	}
	state := r.in(t, "web", "Test", id, types.StageExecutionStatusSucceeded).BeforeEntryConditionState
	if state.LatestExecution.Status != types.ConditionExecutionStatusOverridden || *state.LatestExecution.Summary != "overridden by "+operatorID {
		t.Errorf("condition %+v", state.LatestExecution)
	}
}

func TestExecutionsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	r.define(t, "web")
	var want []string
	for range 5 {
		want = append([]string{r.start(t, "web")}, want...)
	}
	api, ctx := r.sdk(viewerID, secretKey), t.Context()
	var got, tokens []string
	pages := codepipeline.NewListPipelineExecutionsPaginator(api, &codepipeline.ListPipelineExecutionsInput{PipelineName: new("web"), MaxResults: new(int32(2))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.PipelineExecutionSummaries {
			got = append(got, *e.PipelineExecutionId)
		}
		if page.NextToken != nil {
			tokens = append(tokens, *page.NextToken)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(tokens) != 2 {
		t.Errorf("%d tokens, executions (-want +got):\n%s", len(tokens), diff)
	}
	t.Run("a token is good for its own list alone", func(t *testing.T) {
		var invalid *types.InvalidNextTokenException
		for name, token := range map[string]string{"forged": "AAAAAAAAAAAAAAAAAAAAAAM", "cut": tokens[0][:10], "changed": "A" + tokens[0][1:], "no base64": "!"} {
			_, err := api.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: new("web"), NextToken: &token})
			if !errors.As(err, &invalid) {
				t.Errorf("%s token: %v", name, err)
			}
		}
		_, err := api.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: new("web"), NextToken: &tokens[0]})
		if !errors.As(err, &invalid) {
			t.Errorf("a foreign token: %v", err)
		}
	})
}
