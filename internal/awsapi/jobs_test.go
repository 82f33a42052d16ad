package awsapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// scan is a custom type whose jobs are chosen by their project.
func scan() *codepipeline.CreateCustomActionTypeInput {
	return &codepipeline.CreateCustomActionTypeInput{
		Category: types.ActionCategoryTest, Provider: new("Scan"), Version: new("1"),
		InputArtifactDetails: &types.ArtifactDetails{MaximumCount: 1}, OutputArtifactDetails: &types.ArtifactDetails{},
		ConfigurationProperties: []types.ActionConfigurationProperty{{Name: new("Project"), Key: true, Required: true, Queryable: true, Type: types.ActionConfigurationPropertyTypeString}},
	}
}

func scanID() *types.ActionTypeId {
	return &types.ActionTypeId{Category: types.ActionCategoryTest, Owner: types.ActionOwnerCustom, Provider: new("Scan"), Version: new("1")}
}

// scanned makes the test of a pipeline a job of that type.
func scanned(p *pipeline.Pipeline) {
	a := &p.Stages[1].Actions[0]
	a.Type = pipeline.ActionType{Category: pipeline.CategoryTest, Owner: "Custom", Provider: "Scan", Version: "1"}
	a.Configuration = json.RawMessage(`{"Project": "shop", "Commit": "#{push.By}"}`)
	p.Stages = p.Stages[:2]
}

// jobOf polls until there is a job.
func (r *running) jobOf(t *testing.T, query map[string]string) types.Job {
	t.Helper()
	api := r.sdk(operatorID, secretKey)
	var jobs []types.Job
	waittest.Until(t, "there is a job", func() bool {
		out, err := api.PollForJobs(t.Context(), &codepipeline.PollForJobsInput{ActionTypeId: scanID(), QueryParam: query})
		if err != nil {
			t.Fatal(err)
		}
		jobs = out.Jobs
		return len(jobs) > 0
	})
	return jobs[0]
}

func TestAWorkerWorksOnACustomAction(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	admin, api, ctx := r.sdk(adminID, secretKey), r.sdk(operatorID, secretKey), t.Context()
	if _, err := api.PollForJobs(ctx, &codepipeline.PollForJobsInput{ActionTypeId: scanID()}); codeOf(err) != "ActionTypeNotFoundException" {
		t.Errorf("before there is a type: %v", err)
	}
	if _, err := admin.CreateCustomActionType(ctx, scan()); err != nil {
		t.Fatal(err)
	}
	r.define(t, "web", scanned)
	id := r.start(t, "web")
	job := r.jobOf(t, map[string]string{"Project": "shop"})
	acknowledge := func(nonce string) (types.JobStatus, error) {
		out, err := api.AcknowledgeJob(ctx, &codepipeline.AcknowledgeJobInput{JobId: job.Id, Nonce: &nonce})
		if err != nil {
			return "", err
		}
		return out.Status, nil
	}
	succeed := func(in codepipeline.PutJobSuccessResultInput) error {
		in.JobId = job.Id
		_, err := api.PutJobSuccessResult(ctx, &in)
		return err
	}
	t.Run("it is told what it needs", func(t *testing.T) {
		want := map[string]string{"Project": "shop", "Commit": "push"}
		if diff := cmp.Diff(want, job.Data.ActionConfiguration.Configuration); diff != "" {
			t.Errorf("configuration (-want +got):\n%s", diff)
		}
		where := job.Data.PipelineContext
		if *where.PipelineExecutionId != id || *where.Stage.Name != "Test" || *where.Action.Name != "unit" || *job.AccountId != account {
			t.Errorf("context %+v", where)
		}
		details, err := api.GetJobDetails(ctx, &codepipeline.GetJobDetailsInput{JobId: job.Id})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(job.Data, details.JobDetails.Data, shapes()); diff != "" {
			t.Errorf("details (-polled +got):\n%s", diff)
		}
	})
	t.Run("nobody else gets the job, and nobody reports before it is taken", func(t *testing.T) {
		out, err := api.PollForJobs(ctx, &codepipeline.PollForJobsInput{ActionTypeId: scanID()})
		if err != nil || len(out.Jobs) != 0 {
			t.Errorf("%v, jobs %v", err, out.Jobs)
		}
		err = succeed(codepipeline.PutJobSuccessResultInput{})
		if _, ok := errors.AsType[*types.InvalidJobStateException](err); !ok {
			t.Errorf("error %v", err)
		}
		_, err = acknowledge("another")
		if _, ok := errors.AsType[*types.InvalidNonceException](err); !ok {
			t.Errorf("error %v", err)
		}
	})
	t.Run("it goes on where it left off", func(t *testing.T) {
		if status, err := acknowledge(*job.Nonce); err != nil || status != types.JobStatusInProgress {
			t.Fatal(status, err)
		}
		if err := succeed(codepipeline.PutJobSuccessResultInput{ContinuationToken: new("half")}); err != nil {
			t.Fatal(err)
		}
		again := r.jobOf(t, nil)
		if *again.Id != *job.Id || *again.Nonce == *job.Nonce || *again.Data.ContinuationToken != "half" {
			t.Errorf("job %+v", again)
		}
		job = again
	})
	t.Run("its success ends the action, once", func(t *testing.T) {
		if _, err := acknowledge(*job.Nonce); err != nil {
			t.Fatal(err)
		}
		done := codepipeline.PutJobSuccessResultInput{ExecutionDetails: &types.ExecutionDetails{Summary: new("no findings")}, OutputVariables: map[string]string{"Findings": "0"}}
		if err := succeed(done); err != nil {
			t.Fatal(err)
		}
		a := r.in(t, "web", "Test", id, types.StageExecutionStatusSucceeded).ActionStates[0].LatestExecution
		if *a.Summary != "no findings" || *a.LastUpdatedBy != operatorID {
			t.Errorf("action %+v", a)
		}
		err := succeed(done)
		if _, ok := errors.AsType[*types.InvalidJobStateException](err); !ok {
			t.Errorf("error %v", err)
		}
	})
	t.Run("its failure fails the stage", func(t *testing.T) {
		id := r.start(t, "web")
		job := r.jobOf(t, nil)
		if _, err := api.AcknowledgeJob(ctx, &codepipeline.AcknowledgeJobInput{JobId: job.Id, Nonce: job.Nonce}); err != nil {
			t.Fatal(err)
		}
		_, err := api.PutJobFailureResult(ctx, &codepipeline.PutJobFailureResultInput{JobId: job.Id, FailureDetails: &types.FailureDetails{Type: types.FailureTypeJobFailed, Message: new("3 findings")}})
		if err != nil {
			t.Fatal(err)
		}
		a := r.in(t, "web", "Test", id, types.StageExecutionStatusFailed).ActionStates[0].LatestExecution
		if *a.ErrorDetails.Message != "JobFailed: 3 findings" {
			t.Errorf("action %+v", a.ErrorDetails)
		}
	})
	t.Run("a job of an execution that was abandoned is over", func(t *testing.T) {
		id := r.start(t, "web")
		job := r.jobOf(t, nil)
		if _, err := api.AcknowledgeJob(ctx, &codepipeline.AcknowledgeJobInput{JobId: job.Id, Nonce: job.Nonce}); err != nil {
			t.Fatal(err)
		}
		if _, err := api.StopPipelineExecution(ctx, &codepipeline.StopPipelineExecutionInput{PipelineName: new("web"), PipelineExecutionId: &id, Abandon: true}); err != nil {
			t.Fatal(err)
		}
		_, err := api.PutJobSuccessResult(ctx, &codepipeline.PutJobSuccessResultInput{JobId: job.Id})
		if codeOf(err) != "InvalidJobStateException" || !strings.Contains(err.Error(), "Nothing waits") {
			t.Errorf("error %v", err)
		}
	})
}

func TestCustomActionTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	api, ctx := b.sdk(adminID, secretKey), t.Context()
	made, err := api.CreateCustomActionType(ctx, scan())
	if err != nil {
		t.Fatal(err)
	}
	listed := func(owner types.ActionOwner) []types.ActionType {
		t.Helper()
		out, err := api.ListActionTypes(ctx, &codepipeline.ListActionTypesInput{ActionOwnerFilter: owner})
		if err != nil {
			t.Fatal(err)
		}
		return out.ActionTypes
	}
	if diff := cmp.Diff([]types.ActionType{*made.ActionType}, listed(types.ActionOwnerCustom), shapes()); diff != "" {
		t.Errorf("custom types (-made +listed):\n%s", diff)
	}
	if own := listed(types.ActionOwnerAws); len(own) != 1 || *own[0].Id.Provider != "Buildspec" {
		t.Errorf("own types %+v", own)
	}
	rules, err := api.ListRuleTypes(ctx, &codepipeline.ListRuleTypesInput{})
	if err != nil || len(rules.RuleTypes) != 1 || *rules.RuleTypes[0].Id.Provider != "VariableCheck" {
		t.Errorf("%v, rules %+v", err, rules)
	}
	for range 2 { // the second time it is gone already
		if _, err := api.DeleteCustomActionType(ctx, &codepipeline.DeleteCustomActionTypeInput{Category: types.ActionCategoryTest, Provider: new("Scan"), Version: new("1")}); err != nil {
			t.Error(err)
		}
	}
	if left := listed(types.ActionOwnerCustom); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
	_, err = api.CreateCustomActionType(ctx, scan())
	if codeOf(err) != "ActionTypeAlreadyExistsException" {
		t.Errorf("the version was used again: %v", err)
	}
}
