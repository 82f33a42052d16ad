// Package lambda is a Lambda function that deploys to Kubernetes: its noun is
// the deployment that a CodePipeline action asks a function for. It takes the
// job's event, fetches the manifests from S3, deploys them as any deployment is
// made, and ends the job with the verdict.
//
// A function has minutes and a deployment may take hours, so it deploys in
// slices: before the time is over it stops, hands CodePipeline a continuation
// token, and goes on when it is invoked again, for all that it needs to know is
// in the cluster's journal. The room stands above deploy; it must not know
// servers, pipelines' definitions or who runs it.
package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-lambda-go/events"
	runtime "github.com/aws/aws-lambda-go/lambda"

	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// Deployer makes deployments: see deploy.Deployer.
type Deployer interface {
	Deploy(ctx context.Context, request deploy.Request) (pipeline.Deployment, error)
	Abort(ctx context.Context, request deploy.DecideRequest) (pipeline.Deployment, error)
}

var _ Deployer = (*deploy.Deployer)(nil)

// Reporter ends jobs, or has them gone on with later.
type Reporter interface {
	// Succeed ends a job well, or with a token asks for another invocation.
	Succeed(ctx context.Context, job string, said Success) error
	// Fail ends a job badly. The kind is one of CodePipeline's failure types.
	Fail(ctx context.Context, job, kind, message string) error
}

// Success is what is said of a job that went well so far.
type Success struct {
	Token     string // for the next invocation, "" when the job is over
	Summary   string
	Variables map[string]string
}

// Source fetches artifacts.
type Source interface {
	// Fetch writes the files of an artifact into dir, which it makes.
	Fetch(ctx context.Context, event events.CodePipelineJob, artifact events.CodePipelineInputArtifact, dir string) error
}

// Function is the function. It is invoked one event after the other.
type Function struct {
	Source   Source
	Reporter Reporter
	// Connect finds the cluster that the parameters name.
	Connect func(ctx context.Context, p Parameters) (*kube.Cluster, error)
	// Deployer makes one for a cluster.
	Deployer func(config deploy.Config) Deployer
	// Dir is where files may be written, such as /tmp.
	Dir string
	Log io.Writer
	Now func() time.Time
}

// Serve asks the Lambda runtime for events until the process is ended.
func (f *Function) Serve(ctx context.Context) {
	runtime.StartWithOptions(f.Handle, runtime.WithContext(ctx))
}

// The failure types of CodePipeline that are told.
const (
	jobFailed          = "JobFailed"
	configurationError = "ConfigurationError"
	systemUnavailable  = "SystemUnavailable"
)

// Handle gives a job as much time as the invocation has. The error is about
// what could not even be told to CodePipeline: Lambda gives the event again
// then.
func (f *Function) Handle(ctx context.Context, event events.CodePipelineJobEvent) error {
	job := event.CodePipelineJob
	if job.ID == "" {
		return errors.New("the event is no job of CodePipeline: invoke this function by an action of the type Invoke, provider Lambda")
	}
	t, err := f.begin(job)
	if err != nil {
		return f.Reporter.Fail(ctx, job.ID, configurationError, err.Error())
	}
	if deadline, ok := ctx.Deadline(); ok {
		t.time = time.Until(deadline)
	}
	limited, cancel := slice(ctx)
	defer cancel()
	deployment, err := f.deploy(limited, t)
	return f.tell(context.WithoutCancel(ctx), t, deployment, err)
}

// task is one job, and how far it is.
type task struct {
	job        events.CodePipelineJob
	parameters Parameters
	token      token
	time       time.Duration // of the invocation, zero when it has no end
}

// token is what one invocation leaves for the next. AWS keeps up to 2048
// characters of it.
type token struct {
	Key     string    `json:"key"` // of the deployment
	Started time.Time `json:"started"`
	Slices  int       `json:"slices"` // that have been used
	// Faults counts the slices, one after another, in which the cluster or the
	// source could not be asked.
	Faults int `json:"faults,omitempty"`
	// Stalled counts the slices, one after another, that got no further.
	Stalled int `json:"stalled,omitempty"`
	// Aborted tells that the deployment has been given up for its time.
	Aborted bool `json:"aborted,omitempty"`
}

func (f *Function) begin(job events.CodePipelineJob) (*task, error) {
	parameters, err := ParseParameters(job.Data.ActionConfiguration.Configuration.UserParameters)
	if err != nil {
		return nil, err
	}
	t := &task{job: job, parameters: parameters, token: token{Key: "codepipeline." + job.ID, Started: f.Now().UTC()}}
	if text := job.Data.ContinuationToken; text != "" {
		if err := json.Unmarshal([]byte(text), &t.token); err != nil {
			return nil, fmt.Errorf("read the continuation token: %w", err)
		}
	}
	return t, nil
}

// The end of a slice comes before that of the invocation, by as much as it
// takes to tell CodePipeline.
const (
	mostMargin  = 15 * time.Second
	marginShare = 4 // at most one part of so many of the time that there is
)

// slice ends with cause pipeline.ErrShutdown while there is time to say so.
func slice(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	margin := min(mostMargin, time.Until(deadline)/marginShare)
	return context.WithDeadlineCause(ctx, deadline.Add(-margin), pipeline.ErrShutdown)
}

// deploy deploys until the deployment or the slice ends.
func (f *Function) deploy(ctx context.Context, t *task) (pipeline.Deployment, error) {
	root, clean, err := f.fetch(ctx, t)
	defer clean()
	if err != nil {
		return pipeline.Deployment{}, err
	}
	settings, err := t.parameters.settings(root)
	if err != nil {
		return pipeline.Deployment{}, &parameterError{err}
	}
	cluster, err := f.Connect(ctx, t.parameters)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	deployer := f.Deployer(deploy.Config{Cluster: cluster, Holder: "lambda " + t.job.ID})
	if !t.token.Aborted && f.Now().Sub(t.token.Started) > longest(settings) {
		t.token.Aborted = true
		_, err := deployer.Abort(ctx, deploy.DecideRequest{
			App: settings.App, Namespace: namespaceOf(settings, cluster), By: "towline lambda", Reason: fmt.Sprintf("it took longer than %s", longest(settings)), Leave: true, Log: f.Log,
		})
		if err != nil {
			fmt.Fprintf(f.Log, "abort: %v\n", err)
		}
	}
	return deployer.Deploy(ctx, deploy.Request{
		Deploy: settings, Key: t.token.Key, Root: root, Commit: t.parameters.Commit, Execution: t.job.ID, Log: f.Log,
	})
}

// tell says to CodePipeline how the slice has ended.
func (f *Function) tell(ctx context.Context, t *task, d pipeline.Deployment, err error) error {
	ctx, cancel := context.WithTimeout(ctx, mostMargin)
	defer cancel()
	_, wrong := errors.AsType[*parameterError](err)
	switch {
	case err == nil && d.Outcome == pipeline.Succeeded:
		return f.Reporter.Succeed(ctx, t.job.ID, Success{Summary: summaryOf(d), Variables: variablesOf(d)})
	case err == nil:
		return f.Reporter.Fail(ctx, t.job.ID, jobFailed, d.Message)
	case wrong:
		return f.Reporter.Fail(ctx, t.job.ID, configurationError, err.Error())
	case errors.Is(err, pipeline.ErrShutdown):
		return f.next(ctx, t, d, err)
	}
	fmt.Fprintf(f.Log, "fault: %v\n", err)
	if t.token.Faults++; t.token.Faults > mostFaults {
		return f.Reporter.Fail(ctx, t.job.ID, systemUnavailable, err.Error())
	}
	return f.goOn(ctx, t, "tried again, since: "+err.Error())
}

// mostStalled is how many slices in a row may get no further: the first one may
// have found a machine that was busy, or a cluster that was slow.
const mostStalled = 1

// next hands over to the next invocation, unless that would get no further
// either.
func (f *Function) next(ctx context.Context, t *task, d pipeline.Deployment, err error) error {
	t.token.Faults = 0
	stalled, ok := errors.AsType[*deploy.StalledError](err)
	if !ok {
		t.token.Stalled = 0
		return f.goOn(ctx, t, fmt.Sprintf("revision %d goes on with the next invocation", d.Revision))
	}
	if t.token.Stalled++; t.token.Stalled <= mostStalled {
		return f.goOn(ctx, t, "tried again, since the invocation was too short: "+stalled.Error())
	}
	return f.Reporter.Fail(ctx, t.job.ID, configurationError, tooShort(t.time, stalled))
}

// tooShort says what timeout to give the function: twice of what was not enough,
// for nobody knows how long what did not end would have taken.
func tooShort(had time.Duration, stalled *deploy.StalledError) string {
	need := min(2*had.Round(time.Second), longestTimeout)
	return fmt.Sprintf("the function's timeout of %s is too short for this deployment, which has got no further in %d invocations: %s. Give the function a timeout of %s or more, "+
		"with `aws lambda update-function-configuration --timeout %d` or, here, `towline function put NAME --timeout %s`, and deploy again",
		had.Round(time.Second), mostStalled+1, stalled, need, need/time.Second, need)
}

// longestTimeout is the longest that Lambda gives a function.
const longestTimeout = 15 * time.Minute

// mostFaults is how often in a row a deployment is taken up that could not ask
// its cluster.
const mostFaults = 5

func (f *Function) goOn(ctx context.Context, t *task, summary string) error {
	t.token.Slices++
	text, err := json.Marshal(t.token)
	if err != nil {
		return fmt.Errorf("make the continuation token: %w", err)
	}
	return f.Reporter.Succeed(ctx, t.job.ID, Success{Token: string(text), Summary: summary})
}
