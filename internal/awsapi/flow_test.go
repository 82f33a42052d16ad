package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/engine/enginetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

// patience bounds every wait.
const patience = 3 * time.Minute

// running is a bench over a real engine and a real database, whose actions end
// as the test says.
type running struct {
	bench
	db     *store.DB
	engine *engine.Engine

	mu      sync.Mutex
	failing map[string]bool          // actions that fail
	waiting map[string]chan struct{} // actions that end when it is closed
}

// starter gives every execution the same revision.
type starter struct{ *engine.Engine }

var _ Starts = starter{}

func (s starter) Start(ctx context.Context, req engine.StartRequest) (pipeline.Execution, error) {
	req.Revision = pipeline.Revision{Repository: "web", Commit: strings.Repeat("3f9c2e1a", 5), Message: "Greet in French", Time: monday}
	for _, o := range req.Overrides {
		req.Revision.Commit = o.Value
	}
	return s.StartExecution(ctx, req)
}

func setupEngine(t *testing.T) *running {
	t.Helper()
	r := &running{failing: map[string]bool{}, waiting: map[string]chan struct{}{}}
	config := enginetest.Config(t, t.TempDir(), r.act)
	e, err := engine.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(patience); err != nil {
			t.Error(err)
		}
	})
	r.db, r.engine = config.Store, e
	r.bench = setup(t, func(c *Config) {
		c.Records, c.Starts, c.Decisions, c.Tags = r.db, starter{e}, e, r.db
		c.Jobs, c.Workers, c.CustomTypes = r.db, e, r.db
	})
	return r
}

func (r *running) act(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	r.mu.Lock()
	fails, wait := r.failing[job.Action.Name], r.waiting[job.Action.Name]
	r.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return pipeline.Result{}, context.Cause(ctx)
		}
	}
	if fails {
		return pipeline.Fail("%s said no", job.Action.Name), nil
	}
	return pipeline.Result{Outcome: pipeline.Succeeded, Summary: job.Action.Name + " done", Variables: map[string]string{"By": job.Action.Name}}, nil
}

func (r *running) fail(action string, fails bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing[action] = fails
}

// wait makes an action wait until the returned function is called.
func (r *running) wait(action string) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := make(chan struct{})
	r.waiting[action] = c
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.waiting, action)
		close(c)
	})
}

// fourStages is a pipeline of a source, a test, an approval and a deployment.
func fourStages(name string) pipeline.Pipeline {
	action := func(name string, category pipeline.Category, provider string) pipeline.Action {
		return pipeline.Action{Name: name, RunOrder: 1, Type: pipeline.ActionType{Category: category, Owner: "AWS", Provider: provider, Version: "1"}}
	}
	source := action("push", pipeline.CategorySource, "Git")
	source.Outputs = []string{"source"}
	unit := action("unit", pipeline.CategoryBuild, "Buildspec")
	unit.Inputs, unit.Configuration = nil, json.RawMessage(`{"buildspec":"ci/test.yml","services":{"db":{"engine":"postgres"}}}`)
	return pipeline.Pipeline{
		Name: name, Mode: pipeline.ModeSuperseded, Variables: []pipeline.Variable{{Name: "Tag", Default: new("latest")}},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{source}},
			{Name: "Test", Actions: []pipeline.Action{unit}},
			{Name: "GoAhead", Actions: []pipeline.Action{action("ask", pipeline.CategoryApproval, "Manual")}},
			{Name: "Deploy", Actions: []pipeline.Action{action("production", pipeline.CategoryDeploy, "Kubernetes")}},
		},
	}
}

// define keeps such a pipeline.
func (r *running) define(t *testing.T, name string, change ...func(*pipeline.Pipeline)) {
	t.Helper()
	p := fourStages(name)
	for _, c := range change {
		c(&p)
	}
	if err := r.db.Update(t.Context(), func(q store.Querier) error { return store.PutPipeline(t.Context(), q, p, name, monday) }); err != nil {
		t.Fatal(err)
	}
}

// until asks for a pipeline's state until it is as the test wants.
func (r *running) until(t *testing.T, name, what string, ok func(map[string]types.StageState) bool) map[string]types.StageState {
	t.Helper()
	api := r.sdk(viewerID, secretKey)
	var stages map[string]types.StageState
	waittest.Until(t, what, func() bool {
		out, err := api.GetPipelineState(t.Context(), &codepipeline.GetPipelineStateInput{Name: &name})
		if err != nil {
			t.Fatal(err)
		}
		stages = map[string]types.StageState{}
		for _, s := range out.StageStates {
			stages[*s.StageName] = s
		}
		return ok(stages)
	})
	return stages
}

// in waits until an execution is so far in a stage. One that is in progress has
// begun an action.
func (r *running) in(t *testing.T, name, stage, execution string, status types.StageExecutionStatus) types.StageState {
	t.Helper()
	return r.until(t, name, fmt.Sprintf("%s being %s in %s", execution, status, stage), func(stages map[string]types.StageState) bool {
		last := stages[stage].LatestExecution
		waits := status == types.StageExecutionStatusInProgress && stages[stage].ActionStates[0].LatestExecution == nil
		return last != nil && *last.PipelineExecutionId == execution && last.Status == status && !waits
	})[stage]
}

func (r *running) start(t *testing.T, name string) string {
	t.Helper()
	out, err := r.sdk(operatorID, secretKey).StartPipelineExecution(t.Context(), &codepipeline.StartPipelineExecutionInput{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	return *out.PipelineExecutionId
}

// answer decides about the approval of an execution.
func (r *running) answer(t *testing.T, name, execution string, status types.ApprovalStatus) string {
	t.Helper()
	token := r.in(t, name, "GoAhead", execution, types.StageExecutionStatusInProgress).ActionStates[0].LatestExecution.Token
	_, err := r.sdk(operatorID, secretKey).PutApprovalResult(t.Context(), approval(name, *token, status))
	if err != nil {
		t.Fatal(err)
	}
	return *token
}

func approval(name, token string, status types.ApprovalStatus) *codepipeline.PutApprovalResultInput {
	return &codepipeline.PutApprovalResultInput{
		PipelineName: &name, StageName: new("GoAhead"), ActionName: new("ask"), Token: &token,
		Result: &types.ApprovalResult{Status: status, Summary: new("looks good")},
	}
}

func TestAnExecutionIsSteeredThroughTheSDK(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	r.define(t, "web")
	api, ctx := r.sdk(operatorID, secretKey), t.Context()
	r.fail("production", true)
	id := r.start(t, "web")
	token := r.answer(t, "web", id, types.ApprovalStatusApproved)

	t.Run("a decision cannot be made twice, nor by a token of nothing", func(t *testing.T) {
		_, err := api.PutApprovalResult(ctx, approval("web", token, types.ApprovalStatusRejected))
		if _, ok := errors.AsType[*types.ApprovalAlreadyCompletedException](err); !ok {
			t.Errorf("error %v", err)
		}
		_, err = api.PutApprovalResult(ctx, approval("web", "01234567-89ab-cdef-0123-456789abcdef", types.ApprovalStatusRejected))
		if _, ok := errors.AsType[*types.InvalidApprovalTokenException](err); !ok {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a failure is shown with its reason", func(t *testing.T) {
		a := r.in(t, "web", "Deploy", id, types.StageExecutionStatusFailed).ActionStates[0].LatestExecution
		if a.Status != types.ActionExecutionStatusFailed || a.ErrorDetails == nil || *a.ErrorDetails.Message != "production said no" {
			t.Errorf("action %+v", a)
		}
	})
	t.Run("only a stage that failed is retried, in the same execution", func(t *testing.T) {
		_, err := api.RetryStageExecution(ctx, &codepipeline.RetryStageExecutionInput{PipelineName: new("web"), StageName: new("Test"), PipelineExecutionId: &id, RetryMode: types.StageRetryModeFailedActions})
		if _, ok := errors.AsType[*types.StageNotRetryableException](err); !ok {
			t.Errorf("error %v", err)
		}
		r.fail("production", false)
		out, err := api.RetryStageExecution(ctx, &codepipeline.RetryStageExecutionInput{PipelineName: new("web"), StageName: new("Deploy"), PipelineExecutionId: &id, RetryMode: types.StageRetryModeFailedActions})
		if err != nil || *out.PipelineExecutionId != id {
			t.Fatal(out, err)
		}
		stage := r.in(t, "web", "Deploy", id, types.StageExecutionStatusSucceeded)
		if stage.RetryStageMetadata == nil || *stage.RetryStageMetadata.ManualStageRetryAttempt != 1 {
			t.Errorf("retry %+v", stage.RetryStageMetadata)
		}
	})
	t.Run("the execution tells what it was", func(t *testing.T) {
		out, err := api.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: new("web"), PipelineExecutionId: &id})
		if err != nil {
			t.Fatal(err)
		}
		want := &types.PipelineExecution{
			PipelineName: new("web"), PipelineVersion: new(int32(1)), PipelineExecutionId: &id, Status: types.PipelineExecutionStatusSucceeded,
			ExecutionMode: types.ExecutionModeSuperseded, ExecutionType: types.ExecutionTypeStandard,
			Trigger:           &types.ExecutionTrigger{TriggerType: types.TriggerTypeStartPipelineExecution, TriggerDetail: new(operatorID)},
			Variables:         []types.ResolvedPipelineVariable{{Name: new("Tag"), ResolvedValue: new("latest")}},
			ArtifactRevisions: []types.ArtifactRevision{{Name: new("source"), RevisionId: new(strings.Repeat("3f9c2e1a", 5)), RevisionSummary: new("Greet in French"), Created: &monday}},
		}
		if diff := cmp.Diff(want, out.PipelineExecution, shapes()); diff != "" {
			t.Errorf("execution (-want +got):\n%s", diff)
		}
	})
	t.Run("every run of an action is listed, newest first, page by page", func(t *testing.T) {
		var got []string
		pages := codepipeline.NewListActionExecutionsPaginator(api, &codepipeline.ListActionExecutionsInput{PipelineName: new("web"), MaxResults: new(int32(2))})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.ActionExecutionDetails {
				got = append(got, fmt.Sprintf("%s %s", *d.ActionExecutionId, d.Status))
			}
		}
		want := []string{id + ".Deploy.2.production Succeeded", id + ".Deploy.1.production Failed", id + ".GoAhead.1.ask Succeeded", id + ".Test.1.unit Succeeded", id + ".Source.1.push Succeeded"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		last, err := api.ListActionExecutions(ctx, &codepipeline.ListActionExecutionsInput{PipelineName: new("web"), Filter: &types.ActionExecutionFilter{
			LatestInPipelineExecution: &types.LatestInPipelineExecutionFilter{PipelineExecutionId: &id, StartTimeRange: types.StartTimeRangeLatest}}})
		if err != nil || len(last.ActionExecutionDetails) != 4 {
			t.Fatalf("%v, the latest are %d", err, len(last.ActionExecutionDetails))
		}
		unit := last.ActionExecutionDetails[2]
		if want := map[string]string{"buildspec": "ci/test.yml", "services": `{"db":{"engine":"postgres"}}`}; !cmp.Equal(want, unit.Input.Configuration) {
			t.Errorf("configuration %v", unit.Input.Configuration)
		}
		if *unit.Output.ExecutionResult.ExternalExecutionSummary != "unit done" || unit.Output.OutputVariables["By"] != "unit" {
			t.Errorf("output %+v", unit.Output)
		}
	})
}

func TestARollbackRunsOneStageOfAnEarlierExecution(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	r.define(t, "web")
	api, ctx := r.sdk(operatorID, secretKey), t.Context()
	var ids []string
	for range 2 {
		id := r.start(t, "web")
		r.answer(t, "web", id, types.ApprovalStatusApproved)
		r.in(t, "web", "Deploy", id, types.StageExecutionStatusSucceeded)
		ids = append(ids, id)
	}
	out, err := api.RollbackStage(ctx, &codepipeline.RollbackStageInput{PipelineName: new("web"), StageName: new("Deploy"), TargetPipelineExecutionId: &ids[0]})
	if err != nil {
		t.Fatal(err)
	}
	last := r.in(t, "web", "Deploy", *out.PipelineExecutionId, types.StageExecutionStatusSucceeded).LatestExecution
	if last.Type != types.ExecutionTypeRollback {
		t.Errorf("type %s", last.Type)
	}
	_, err = api.RollbackStage(ctx, &codepipeline.RollbackStageInput{PipelineName: new("web"), StageName: new("Source"), TargetPipelineExecutionId: &ids[0]})
	if _, ok := errors.AsType[*types.UnableToRollbackStageException](err); !ok {
		t.Errorf("error %v", err)
	}
	succeeded, err := api.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: new("web"), Filter: &types.PipelineExecutionFilter{SucceededInStage: &types.SucceededInStageFilter{StageName: new("Test")}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range succeeded.PipelineExecutionSummaries {
		got = append(got, *s.PipelineExecutionId)
	}
	slices.Reverse(got)
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("succeeded in Test (-want +got):\n%s", diff)
	}
}

func TestStoppingAndTransitions(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	r.define(t, "web")
	api, ctx := r.sdk(operatorID, secretKey), t.Context()
	release := r.wait("unit")
	defer release()
	id := r.start(t, "web")
	r.in(t, "web", "Test", id, types.StageExecutionStatusInProgress)
	stop := func(abandon bool) error {
		_, err := api.StopPipelineExecution(ctx, &codepipeline.StopPipelineExecutionInput{PipelineName: new("web"), PipelineExecutionId: &id, Abandon: abandon, Reason: new("lunch")})
		return err
	}
	if err := stop(false); err != nil {
		t.Fatal(err)
	}
	r.in(t, "web", "Test", id, types.StageExecutionStatusStopping)
	err := stop(false)
	if _, ok := errors.AsType[*types.DuplicatedStopRequestException](err); !ok {
		t.Errorf("error %v", err)
	}
	if err := stop(true); err != nil {
		t.Fatal(err)
	}
	r.in(t, "web", "Test", id, types.StageExecutionStatusStopped)
	err = stop(true)
	if _, ok := errors.AsType[*types.PipelineExecutionNotStoppableException](err); !ok {
		t.Errorf("error %v", err)
	}
	list, err := api.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: new("web")})
	if err != nil || len(list.PipelineExecutionSummaries) != 1 || *list.PipelineExecutionSummaries[0].StopTrigger.Reason != "lunch" {
		t.Errorf("%v, executions %+v", err, list)
	}
	release()

	if _, err := api.DisableStageTransition(ctx, &codepipeline.DisableStageTransitionInput{PipelineName: new("web"), StageName: new("Test"), TransitionType: types.StageTransitionTypeInbound, Reason: new("frozen")}); err != nil {
		t.Fatal(err)
	}
	next := r.start(t, "web")
	stages := r.until(t, "web", next+" waiting for Test", func(s map[string]types.StageState) bool { return s["Test"].InboundExecution != nil })
	closed := stages["Test"].InboundTransitionState
	if *stages["Test"].InboundExecution.PipelineExecutionId != next || closed.Enabled || *closed.DisabledReason != "frozen" || *closed.LastChangedBy != operatorID {
		t.Errorf("inbound %+v, transition %+v", stages["Test"].InboundExecution, closed)
	}
	if _, err := api.EnableStageTransition(ctx, &codepipeline.EnableStageTransitionInput{PipelineName: new("web"), StageName: new("Test"), TransitionType: types.StageTransitionTypeInbound}); err != nil {
		t.Fatal(err)
	}
	r.in(t, "web", "Test", next, types.StageExecutionStatusSucceeded)
}
