package awsapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Jobs are the actions that wait for programs outside of Towline, and what
// those have been told of them.
type Jobs interface {
	// Due lists the executions in which somebody outside is waited for at most
	// until then.
	Due(ctx context.Context, then time.Time) ([]pipeline.Execution, error)
	DispatchJob(ctx context.Context, job store.Job, again time.Time) (given store.Job, ok bool, err error)
	Job(ctx context.Context, id string) (store.Job, error)
	ChangeJob(ctx context.Context, job store.Job, to store.JobStatus, continuation string, at time.Time) (ok bool, err error)
}

var _ Jobs = (*store.DB)(nil)

// Workers report how actions have ended that they worked on.
type Workers interface {
	EndAction(ctx context.Context, ended pipeline.ActionEnded) error
}

var _ Workers = (*engine.Engine)(nil)

// takenWithin is how long a worker has to take a job that it was given, before
// it is given to another.
const takenWithin = 30 * time.Second

// forever is later than any action is waited for.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// waiting is an action that a worker is waited for.
type waiting struct {
	execution pipeline.Execution
	stage     string
	attempt   int
	action    pipeline.Action
}

// jobID is the id of a waiting action's job, in AWS's form: the same each time
// that somebody asks.
func (w waiting) jobID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "job %q %q %d %q", w.execution.ID, w.stage, w.attempt, w.action.Name))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// waitingIn are the actions of an execution that workers are waited for.
func waitingIn(e pipeline.Execution) (found []waiting) {
	for _, s := range e.Stages {
		definition, _, _ := e.Definition.Stage(s.Name)
		for i, a := range s.Actions {
			if a.Status == pipeline.StatusInProgress && a.Type.Worker() && i < len(definition.Actions) {
				found = append(found, waiting{e, s.Name, a.Attempt, definition.Actions[i]})
			}
		}
	}
	return found
}

// configuration is what the action's definition says, with its variables, in
// AWS's form.
func (w waiting) configuration() (map[string]string, error) {
	resolved, err := pipeline.Resolve(w.action.Configuration, w.execution.Variables())
	return flat(resolved), err
}

func (h *Handler) poll(ctx context.Context, c call, in *codepipeline.PollForJobsInput) (*codepipeline.PollForJobsOutput, error) {
	of, err := h.custom(ctx, in.ActionTypeId)
	if err != nil {
		return nil, err
	}
	for name := range in.QueryParam {
		if !slices.ContainsFunc(of.ActionConfigurationProperties, func(p types.ActionConfigurationProperty) bool { return p.Queryable && *p.Name == name }) {
			return nil, Faultf("ValidationException", "The action type has no queryable configuration property '%s'.", name)
		}
	}
	executions, err := h.Jobs.Due(ctx, forever)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(executions, func(a, b pipeline.Execution) int { return a.Started.Compare(b.Started) })
	most, out := size(in.MaxBatchSize, 100), &codepipeline.PollForJobsOutput{Jobs: []types.Job{}}
	id := customID(in.ActionTypeId.Category, in.ActionTypeId.Provider, in.ActionTypeId.Version)
	for _, e := range executions {
		for _, w := range waitingIn(e) {
			if len(out.Jobs) == most || w.action.Type != id {
				continue
			}
			job, ok, err := h.give(ctx, c, w, in.QueryParam)
			if err != nil {
				return nil, err
			}
			if ok {
				out.Jobs = append(out.Jobs, job)
			}
		}
	}
	return out, nil
}

// give gives a job out, if its configuration is the one asked for and nobody
// has it.
func (h *Handler) give(ctx context.Context, c call, w waiting, query map[string]string) (types.Job, bool, error) {
	configuration, err := w.configuration()
	if err != nil {
		return types.Job{}, false, h.unresolved(ctx, w, err)
	}
	for name, value := range query {
		if configuration[name] != value {
			return types.Job{}, false, nil
		}
	}
	now := h.Now()
	job, ok, err := h.Jobs.DispatchJob(ctx, store.Job{
		ID: w.jobID(), Execution: w.execution.ID, Stage: w.stage, Attempt: w.attempt, Action: w.action.Name, Nonce: rand.Text(), At: now,
	}, now.Add(-takenWithin))
	if err != nil || !ok {
		return types.Job{}, false, err
	}
	return types.Job{Id: &job.ID, Nonce: &job.Nonce, AccountId: &c.account, Data: jobData(c, w, job, configuration)}, true, nil
}

// unresolved ends an action whose configuration names a variable that is not
// there: no worker could do anything about it.
func (h *Handler) unresolved(ctx context.Context, w waiting, reason error) error {
	err := h.Workers.EndAction(ctx, pipeline.ActionEnded{
		Execution: w.execution.ID, Stage: w.stage, Attempt: w.attempt, Action: w.action.Name,
		Result: pipeline.Fail("configuration of action %s: %s", w.action.Name, reason),
	})
	if errors.Is(err, pipeline.ErrStale) {
		return nil
	}
	return err
}

// jobData is what a worker is told of a job. Artifacts are named; where they
// lie is not told, since no worker can read them there.
func jobData(c call, w waiting, job store.Job, configuration map[string]string) *types.JobData {
	artifacts := func(names []string) []types.Artifact {
		found := []types.Artifact{}
		for _, name := range names {
			found = append(found, types.Artifact{Name: &name})
		}
		return found
	}
	e := w.execution
	return &types.JobData{
		ActionTypeId: typeID(w.action.Type), ActionConfiguration: &types.ActionConfiguration{Configuration: configuration},
		PipelineContext: &types.PipelineContext{
			PipelineName: &e.Pipeline, PipelineArn: new(c.arn(e.Pipeline)), PipelineExecutionId: &e.ID, Stage: &types.StageContext{Name: &w.stage},
			Action: &types.ActionContext{Name: &w.action.Name, ActionExecutionId: new(actionID(e, w.stage, w.attempt, "", w.action.Name))},
		},
		InputArtifacts: artifacts(w.action.Inputs), OutputArtifacts: artifacts(w.action.Outputs), ContinuationToken: text(job.Continuation),
	}
}

// job finds a job by its id.
func (h *Handler) job(ctx context.Context, id string) (store.Job, error) {
	job, err := h.Jobs.Job(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = Faultf("JobNotFoundException", "There is no job '%s'.", id)
	}
	return job, err
}

func (h *Handler) acknowledge(ctx context.Context, _ call, in *codepipeline.AcknowledgeJobInput) (*codepipeline.AcknowledgeJobOutput, error) {
	job, err := h.job(ctx, *in.JobId)
	if err != nil {
		return nil, err
	}
	invalid := Faultf("InvalidNonceException", "The job '%s' has been given out again since, or is over.", job.ID)
	if job.Nonce != *in.Nonce {
		return nil, invalid
	}
	if job.Status == store.JobDispatched {
		ok, err := h.Jobs.ChangeJob(ctx, job, store.JobInProgress, job.Continuation, h.Now())
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, invalid
		}
		job.Status = store.JobInProgress
	}
	return &codepipeline.AcknowledgeJobOutput{Status: types.JobStatus(job.Status)}, nil
}

func (h *Handler) jobDetails(ctx context.Context, c call, in *codepipeline.GetJobDetailsInput) (*codepipeline.GetJobDetailsOutput, error) {
	job, err := h.job(ctx, *in.JobId)
	if err != nil {
		return nil, err
	}
	e, err := h.Records.Execution(ctx, job.Execution)
	if err != nil {
		return nil, err
	}
	stage, _, _ := e.Definition.Stage(job.Stage)
	i := slices.IndexFunc(stage.Actions, func(a pipeline.Action) bool { return a.Name == job.Action })
	if i < 0 {
		return nil, fmt.Errorf("find action %s of stage %s of %s, of which there is a job", job.Action, job.Stage, job.Execution)
	}
	w := waiting{e, job.Stage, job.Attempt, stage.Actions[i]}
	configuration, err := w.configuration()
	if err != nil {
		return nil, Faultf("ValidationException", "%s", err)
	}
	return &codepipeline.GetJobDetailsOutput{JobDetails: &types.JobDetails{Id: &job.ID, AccountId: &c.account, Data: jobData(c, w, job, configuration)}}, nil
}

func (h *Handler) jobSucceeded(ctx context.Context, c call, in *codepipeline.PutJobSuccessResultInput) (*nothing, error) {
	job, err := h.taken(ctx, *in.JobId)
	if err != nil {
		return nil, err
	}
	if in.ContinuationToken != nil {
		// It is not over: the next one who asks goes on from here.
		_, err := h.Jobs.ChangeJob(ctx, job, store.JobQueued, *in.ContinuationToken, h.Now())
		return &nothing{}, err
	}
	result := pipeline.Result{Outcome: pipeline.Succeeded, Variables: in.OutputVariables}
	if in.ExecutionDetails != nil {
		result.Summary = aws.ToString(in.ExecutionDetails.Summary)
	}
	return &nothing{}, h.endJob(ctx, c, job, result, store.JobSucceeded)
}

func (h *Handler) jobFailed(ctx context.Context, c call, in *codepipeline.PutJobFailureResultInput) (*nothing, error) {
	job, err := h.taken(ctx, *in.JobId)
	if err != nil {
		return nil, err
	}
	return &nothing{}, h.endJob(ctx, c, job, pipeline.Fail("%s: %s", in.FailureDetails.Type, aws.ToString(in.FailureDetails.Message)), store.JobFailed)
}

// taken is a job that a worker has taken, and may report about.
func (h *Handler) taken(ctx context.Context, id string) (store.Job, error) {
	job, err := h.job(ctx, id)
	if err == nil && job.Status != store.JobInProgress {
		err = Faultf("InvalidJobStateException", "The job '%s' is %s, not InProgress.", id, job.Status)
	}
	return job, err
}

// endJob ends the action first: it can be ended once, whatever is kept of the
// job.
func (h *Handler) endJob(ctx context.Context, c call, job store.Job, result pipeline.Result, status store.JobStatus) error {
	err := h.Workers.EndAction(ctx, pipeline.ActionEnded{
		Execution: job.Execution, Stage: job.Stage, Attempt: job.Attempt, Action: job.Action, Result: result, By: c.who(),
	})
	if errors.Is(err, pipeline.ErrStale) {
		return Faultf("InvalidJobStateException", "Nothing waits for the job '%s' any more.", job.ID)
	}
	if err != nil {
		return err
	}
	_, err = h.Jobs.ChangeJob(ctx, job, status, "", h.Now())
	return err
}
