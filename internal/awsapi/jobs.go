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

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/wire"
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
	// ReportJob keeps what a function says of its job, if the job is still as
	// it was. Who has invoked the function looks there.
	ReportJob(ctx context.Context, was, is store.Job) (ok bool, err error)
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

// credentialsLast is how long the credentials of a job are good. A worker that
// needs longer asks for the details of its job again.
const credentialsLast = time.Hour

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

func (h *Handler) poll(ctx context.Context, c wire.Call, in *codepipeline.PollForJobsInput) (*codepipeline.PollForJobsOutput, error) {
	of, err := h.custom(ctx, in.ActionTypeId)
	if err != nil {
		return nil, err
	}
	for name := range in.QueryParam {
		if !slices.ContainsFunc(of.ActionConfigurationProperties, func(p types.ActionConfigurationProperty) bool { return p.Queryable && *p.Name == name }) {
			return nil, wire.Faultf("ValidationException", "The action type has no queryable configuration property '%s'.", name)
		}
	}
	executions, err := h.Jobs.Due(ctx, forever)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(executions, func(a, b pipeline.Execution) int { return a.Started.Compare(b.Started) })
	most, out := wire.Size(in.MaxBatchSize, 100), &codepipeline.PollForJobsOutput{Jobs: []types.Job{}}
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
func (h *Handler) give(ctx context.Context, c wire.Call, w waiting, query map[string]string) (types.Job, bool, error) {
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
	data, err := h.jobData(ctx, c, w, job, configuration)
	return types.Job{Id: &job.ID, Nonce: &job.Nonce, AccountId: &c.Account, Data: data}, err == nil, err
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

// jobData is what a worker is told of a job: where its artifacts lie, and with
// which credentials it reads and writes them.
func (h *Handler) jobData(ctx context.Context, c wire.Call, w waiting, job store.Job, configuration map[string]string) (*types.JobData, error) {
	work := w.work(job.ID)
	given, err := h.Handover.Give(ctx, work, credentialsLast)
	if err != nil {
		return nil, err
	}
	e, signIn := w.execution, given.Credentials
	data := &types.JobData{
		ActionTypeId: typeID(w.action.Type), ActionConfiguration: &types.ActionConfiguration{Configuration: configuration},
		PipelineContext: &types.PipelineContext{
			PipelineName: &e.Pipeline, PipelineArn: new(c.ARN(e.Pipeline)), PipelineExecutionId: &e.ID, Stage: &types.StageContext{Name: &w.stage},
			Action: &types.ActionContext{Name: &w.action.Name, ActionExecutionId: new(actionID(e, w.stage, w.attempt, "", w.action.Name))},
		},
		InputArtifacts: []types.Artifact{}, OutputArtifacts: []types.Artifact{}, ContinuationToken: text(job.Continuation),
		ArtifactCredentials: &types.AWSSessionCredentials{AccessKeyId: &signIn.AccessKeyID, SecretAccessKey: &signIn.SecretAccessKey, SessionToken: &signIn.SessionToken},
	}
	for i, a := range work.Inputs {
		data.InputArtifacts = append(data.InputArtifacts, artifactAt(a.Name, given.Inputs[i], &a.Digest))
	}
	for i, name := range work.Outputs {
		data.OutputArtifacts = append(data.OutputArtifacts, artifactAt(name, given.Outputs[i], nil))
	}
	return data, nil
}

// artifactAt is an artifact with the place of its zip archive.
func artifactAt(name string, at access.Object, revision *string) types.Artifact {
	return types.Artifact{Name: &name, Revision: revision, Location: &types.ArtifactLocation{
		Type: types.ArtifactLocationTypeS3, S3Location: &types.S3ArtifactLocation{BucketName: &at.Bucket, ObjectKey: &at.Key},
	}}
}

// work is the waiting action as far as its artifacts go.
func (w waiting) work(job string) access.Work {
	work := access.Work{Job: job, Pipeline: w.execution.Pipeline, Outputs: w.action.Outputs}
	for _, name := range w.action.Inputs {
		for _, a := range w.execution.Artifacts() {
			if a.Name == name {
				work.Inputs = append(work.Inputs, a)
			}
		}
	}
	return work
}

// job finds a job by its id.
func (h *Handler) job(ctx context.Context, id string) (store.Job, error) {
	job, err := h.Jobs.Job(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = wire.Faultf("JobNotFoundException", "There is no job '%s'.", id)
	}
	return job, err
}

func (h *Handler) acknowledge(ctx context.Context, _ wire.Call, in *codepipeline.AcknowledgeJobInput) (*codepipeline.AcknowledgeJobOutput, error) {
	job, err := h.job(ctx, *in.JobId)
	if err != nil {
		return nil, err
	}
	invalid := wire.Faultf("InvalidNonceException", "The job '%s' has been given out again since, or is over.", job.ID)
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

func (h *Handler) jobDetails(ctx context.Context, c wire.Call, in *codepipeline.GetJobDetailsInput) (*codepipeline.GetJobDetailsOutput, error) {
	job, err := h.job(ctx, *in.JobId)
	if err != nil {
		return nil, err
	}
	w, err := h.waitingFor(ctx, job)
	if err != nil {
		return nil, err
	}
	configuration, err := w.configuration()
	if err != nil {
		return nil, wire.Faultf("ValidationException", "%s", err)
	}
	data, err := h.jobData(ctx, c, w, job, configuration)
	if err != nil {
		return nil, err
	}
	return &codepipeline.GetJobDetailsOutput{JobDetails: &types.JobDetails{Id: &job.ID, AccountId: &c.Account, Data: data}}, nil
}

// waitingFor is the action that a job is about, whether it still waits or not.
func (h *Handler) waitingFor(ctx context.Context, job store.Job) (waiting, error) {
	e, err := h.Records.Execution(ctx, job.Execution)
	if err != nil {
		return waiting{}, err
	}
	stage, _, _ := e.Definition.Stage(job.Stage)
	i := slices.IndexFunc(stage.Actions, func(a pipeline.Action) bool { return a.Name == job.Action })
	if i < 0 {
		return waiting{}, fmt.Errorf("find action %s of stage %s of %s, of which there is a job", job.Action, job.Stage, job.Execution)
	}
	return waiting{e, job.Stage, job.Attempt, stage.Actions[i]}, nil
}

func (h *Handler) jobSucceeded(ctx context.Context, c wire.Call, in *codepipeline.PutJobSuccessResultInput) (*nothing, error) {
	job, err := h.taken(ctx, c, *in.JobId)
	if err != nil {
		return nil, err
	}
	if job.Function != "" {
		return &nothing{}, h.reportJob(ctx, job, saidOf(in))
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
	w, err := h.waitingFor(ctx, job)
	if err != nil {
		return nil, err
	}
	// What the worker has put is looked at before the action ends, so that it can
	// put something better.
	result.Artifacts, err = h.Handover.Take(ctx, w.work(job.ID))
	if bad, ok := errors.AsType[*access.BadArchive](err); ok {
		return nil, wire.Faultf("ValidationException", "%s", bad.Error())
	}
	if err != nil {
		return nil, err
	}
	return &nothing{}, h.endJob(ctx, c, job, result, store.JobSucceeded)
}

func (h *Handler) jobFailed(ctx context.Context, c wire.Call, in *codepipeline.PutJobFailureResultInput) (*nothing, error) {
	job, err := h.taken(ctx, c, *in.JobId)
	if err != nil {
		return nil, err
	}
	failure := fmt.Sprintf("%s: %s", in.FailureDetails.Type, aws.ToString(in.FailureDetails.Message))
	if job.Function != "" {
		return &nothing{}, h.reportJob(ctx, job, store.Job{
			Status: store.JobFailed, Report: store.JobReport{Failure: failure, External: aws.ToString(in.FailureDetails.ExternalExecutionId)},
		})
	}
	return &nothing{}, h.endJob(ctx, c, job, pipeline.Fail("%s", failure), store.JobFailed)
}

// saidOf is what a function says of a job that is over, or that is to go on.
func saidOf(in *codepipeline.PutJobSuccessResultInput) store.Job {
	said := store.Job{Status: store.JobSucceeded, Report: store.JobReport{Variables: in.OutputVariables}}
	if in.ContinuationToken != nil {
		said.Status, said.Continuation = store.JobQueued, *in.ContinuationToken
	}
	if details := in.ExecutionDetails; details != nil {
		said.Report.Summary, said.Report.External = aws.ToString(details.Summary), aws.ToString(details.ExternalExecutionId)
		said.Report.Percent = int(aws.ToInt32(details.PercentComplete))
	}
	return said
}

// reportJob keeps what a function says of its job. The action that has invoked
// the function is waiting for it, and ends itself.
func (h *Handler) reportJob(ctx context.Context, job, said store.Job) error {
	said.At = h.Now()
	ok, err := h.Jobs.ReportJob(ctx, job, said)
	if err == nil && !ok {
		err = wire.Faultf("InvalidJobStateException", "Nothing waits for the job '%s' any more.", job.ID)
	}
	return err
}

// taken is a job that a worker has taken, and may report about. The holder of a
// job's credentials may report about that job alone.
func (h *Handler) taken(ctx context.Context, c wire.Call, id string) (store.Job, error) {
	if s := c.Key.Session; s != nil && s.Scope.Job != id {
		return store.Job{}, wire.Faultf("AccessDeniedException", "User: %s is not authorized to perform: codepipeline:%s because its session is for another job", c.User(), c.Operation)
	}
	job, err := h.job(ctx, id)
	if err == nil && job.Status != store.JobInProgress {
		err = wire.Faultf("InvalidJobStateException", "The job '%s' is %s, not InProgress.", id, job.Status)
	}
	return job, err
}

// endJob ends the action first: it can be ended once, whatever is kept of the
// job.
func (h *Handler) endJob(ctx context.Context, c wire.Call, job store.Job, result pipeline.Result, status store.JobStatus) error {
	err := h.Workers.EndAction(ctx, pipeline.ActionEnded{
		Execution: job.Execution, Stage: job.Stage, Attempt: job.Attempt, Action: job.Action, Result: result, By: c.Who(),
	})
	if errors.Is(err, pipeline.ErrStale) {
		return wire.Faultf("InvalidJobStateException", "Nothing waits for the job '%s' any more.", job.ID)
	}
	if err != nil {
		return err
	}
	if w, err := h.waitingFor(ctx, job); err != nil {
		h.Logger.Warn("end the credentials of a job", "job", job.ID, "error", err)
	} else if err := h.Handover.End(ctx, w.work(job.ID)); err != nil {
		h.Logger.Warn("end the credentials of a job", "job", job.ID, "error", err)
	}
	_, err = h.Jobs.ChangeJob(ctx, job, status, "", h.Now())
	return err
}
