package function

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Functions finds what is invoked.
type Functions interface {
	// Function returns the function of a name as it is now. The error wraps
	// store.ErrNotFound when there is none.
	Function(ctx context.Context, name string) (Function, error)
}

// Invoker runs functions: see Runner.
type Invoker interface {
	// Begun tells whether the invocation of a directory has been begun.
	Begun(dir string) bool
	Invoke(ctx context.Context, in Invocation) (Outcome, error)
}

var _ Invoker = (*Runner)(nil)

// Jobs are what functions have been given, and what they have said of it by
// PutJobSuccessResult and PutJobFailureResult.
type Jobs interface {
	// OpenJob keeps a new job, or returns the one of that id as it is.
	OpenJob(ctx context.Context, job store.Job) (store.Job, error)
	Job(ctx context.Context, id string) (store.Job, error)
	// ReportJob gives a job another status, continuation and report, if it has
	// still the status and the nonce that it had. It is not ok when it has not.
	ReportJob(ctx context.Context, was, is store.Job) (ok bool, err error)
}

// Grant asks for what the function of a job may do at this server.
type Grant struct {
	Job      string // id, which the function may end
	Pipeline string
	Inputs   []pipeline.Artifact
	Outputs  []string // names of artifacts that it may make
	// Lasting is how long that is wanted.
	Lasting time.Duration
}

// Granted is what was given for a Grant.
type Granted struct {
	Credentials Credentials
	// Places are where artifacts are read and written, by their names. They are
	// the same each time that the same is asked for.
	Places map[string]Location
}

// Access lets functions reach the artifacts of their jobs, and end them. It is
// called before each invocation.
type Access interface {
	Grant(ctx context.Context, grant Grant) (Granted, error)
	// Made returns the artifacts that the function of a job has put to the
	// places of its outputs, in their order; what it has not put is left out.
	// The error is an *OutputError when one cannot be taken.
	Made(ctx context.Context, grant Grant) ([]pipeline.Artifact, error)
	// Revoke ends the credentials of a job.
	Revoke(ctx context.Context, grant Grant) error
}

// OutputError says that what a function has made is no artifact.
type OutputError struct{ Artifact, Reason string }

func (e *OutputError) Error() string {
	return fmt.Sprintf("output artifact %s: %s", e.Artifact, e.Reason)
}

// Pace is how long things take, which CodePipeline and Lambda do by the clock.
// The zero value is theirs.
type Pace struct {
	// Pause is how long after a continuation token the function is invoked
	// again.
	Pause time.Duration
	// Retries are how long after a failed invocation the event is given again.
	Retries []time.Duration
	// Reply is how long a job may go without a result, or a continuation, once
	// its function has returned.
	Reply time.Duration
	// Look is how often it is looked whether there is a result.
	Look time.Duration
}

func (p Pace) complete() Pace {
	p.Pause, p.Reply, p.Look = cmp.Or(p.Pause, 30*time.Second), cmp.Or(p.Reply, 20*time.Minute), cmp.Or(p.Look, 200*time.Millisecond)
	if p.Retries == nil {
		p.Retries = []time.Duration{time.Minute, 2 * time.Minute}
	}
	return p
}

// Action carries out actions of the type Invoke/Lambda and rules of the type
// LambdaInvoke, both configured by a pipeline.Lambda: a function is invoked
// with the job's event, and ends the job when it likes. Given a job a second
// time it goes on where it was: an invocation that runs is waited for, and one
// that has ended is not made again.
type Action struct {
	Functions Functions
	Runner    Invoker
	Jobs      Jobs
	Access    Access
	// LogFile is a function's own log, which its invocations are written to
	// beside that of the action. It may be nil.
	LogFile func(function string) (string, error)
	Account string // in events: 12 digits
	Pace    Pace
	Now     func() time.Time
}

// longest is how long a job may take with all its continuations, as with
// CodePipeline.
const longest = 24 * time.Hour

// Run gives the job to its function and waits until the function has ended it.
func (a *Action) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	w, err := a.begin(ctx, job)
	if no, ok := errors.AsType[refusal](err); ok {
		return pipeline.Fail("%s", no), nil
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, longest, errLongest)
	defer cancel()
	result, err := w.walk(limited)
	if errors.Is(context.Cause(ctx), pipeline.ErrShutdown) {
		return result, err
	}
	if errors.Is(context.Cause(limited), errLongest) && err != nil {
		result, err = pipeline.Fail("function %s has not ended the job within %s", w.function, longest), nil
	}
	// What the function says from here on comes too late.
	after, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	return result, errors.Join(err, w.close(after))
}

var errLongest = errors.New("the job takes too long")

// refusal is an error of the user's making: the action has failed, it is not
// that it could not be run.
type refusal string

func (r refusal) Error() string { return string(r) }

// work is one job on its way.
type work struct {
	*Action
	pace     Pace
	job      pipeline.Job
	id       string
	function string
	progress progress
}

// progress is how far a job is, kept in the job's directory.
type progress struct {
	// Invocation counts the events given, from 1, and Failed those of them, one
	// after another, that failed.
	Invocation int `json:"invocation"`
	Failed     int `json:"failed"`
	// Ended tells that the invocation has ended and been judged. Again is when
	// the event is given once more then; zero means that a result is waited for,
	// until Due.
	Ended bool      `json:"ended"`
	Again time.Time `json:"again,omitzero"`
	Due   time.Time `json:"due,omitzero"`
}

const progressFile = "progress.json"

func (a *Action) begin(ctx context.Context, job pipeline.Job) (*work, error) {
	var config pipeline.Lambda
	if err := json.Unmarshal(job.Configuration, &config); err != nil {
		return nil, fmt.Errorf("read configuration of action %s: %w", job.Action.Name, err)
	}
	name, err := NameOf(config.Function)
	if err != nil {
		return nil, refusal(fmt.Sprintf("action %s: %v", job.Action.Name, err))
	}
	w := &work{Action: a, pace: a.Pace.complete(), job: job, id: jobID(job), function: name}
	_, err = a.Jobs.OpenJob(ctx, store.Job{
		ID: w.id, Execution: job.Execution, Stage: job.Stage, Attempt: job.Attempt, Action: job.Action.Name, Function: name,
		Status: store.JobInProgress, At: a.Now(),
	})
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(w.path(progressFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return w, nil
	case err == nil:
		err = json.Unmarshal(text, &w.progress)
	}
	if err != nil {
		return nil, fmt.Errorf("read how far the job is: %w", err)
	}
	return w, nil
}

// jobID is the same each time that the job is given. A rule may have the name
// of an action, but not its log.
func jobID(job pipeline.Job) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "function %q %q", job.Key(), filepath.Base(job.LogFile)))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func (w *work) path(name string) string { return filepath.Join(w.job.Dir, name) }

// keep remembers how far the job is.
func (w *work) keep() error {
	text, err := json.Marshal(w.progress)
	if err == nil {
		err = replaceFile(w.path(progressFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep how far the job is: %w", err)
	}
	return nil
}

// walk goes from invocation to invocation until the job has ended.
func (w *work) walk(ctx context.Context) (pipeline.Result, error) {
	for {
		job, err := w.Jobs.Job(ctx, w.id)
		if err != nil {
			return pipeline.Result{}, err
		}
		switch {
		case job.Status == store.JobSucceeded || job.Status == store.JobFailed:
			return w.result(ctx, job)
		case job.Status == store.JobQueued:
			err = w.resume(ctx, job)
		case !w.progress.Ended:
			err = w.invoke(ctx, job)
		case !w.progress.Again.IsZero():
			err = w.retry(ctx)
		case w.Now().After(w.progress.Due):
			return pipeline.Fail("function %s has returned, but has not called PutJobSuccessResult or PutJobFailureResult for job %s within %s: a function has to end its job by one of them. The last lines that it printed are in the action's log",
				w.function, w.id, w.pace.Reply), nil
		default:
			w.job.Progress("waits for the result of function " + w.function)
			err = w.wait(ctx, w.pace.Look)
		}
		if no, ok := errors.AsType[refusal](err); ok {
			return pipeline.Fail("%s", no), nil
		}
		if err != nil {
			return pipeline.Result{}, err
		}
	}
}

// wait waits, or returns why ctx ended.
func (w *work) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// until waits for a time, and looks up in between whether there is a result.
func (w *work) until(ctx context.Context, at time.Time) error {
	for {
		left := at.Sub(w.Now())
		if left <= 0 {
			return nil
		}
		if err := w.wait(ctx, min(left, w.pace.Look)); err != nil {
			return err
		}
		job, err := w.Jobs.Job(ctx, w.id)
		if err != nil {
			return err
		}
		if job.Status == store.JobSucceeded || job.Status == store.JobFailed {
			return nil
		}
	}
}

// resume gives a job that was continued to the function again, after a pause.
func (w *work) resume(ctx context.Context, job store.Job) error {
	if !w.progress.Ended {
		// The invocation that has said so is still on its way out.
		if err := w.invoke(ctx, job); err != nil {
			return err
		}
	}
	said := job.Report.Summary
	if job.Report.Percent > 0 {
		said = strings.TrimSpace(fmt.Sprintf("%d %% %s", job.Report.Percent, said))
	}
	w.job.Progress(strings.TrimSuffix("function "+w.function+" goes on soon: "+said, ": "))
	if err := w.until(ctx, job.At.Add(w.pace.Pause)); err != nil {
		return err
	}
	next := job
	next.Status, next.At = store.JobInProgress, w.Now()
	ok, err := w.Jobs.ReportJob(ctx, job, next)
	if err != nil || !ok {
		return err
	}
	w.progress = progress{Invocation: w.progress.Invocation}
	return w.keep()
}

// retry gives the event of a failed invocation again, as Lambda does.
func (w *work) retry(ctx context.Context) error {
	w.job.Progress(fmt.Sprintf("function %s has failed and is invoked again at %s", w.function, w.progress.Again.UTC().Format(time.TimeOnly)))
	if err := w.until(ctx, w.progress.Again); err != nil {
		return err
	}
	w.progress = progress{Invocation: w.progress.Invocation, Failed: w.progress.Failed}
	return w.keep()
}

// invoke makes the present invocation, or waits for it, and judges how it
// ended.
func (w *work) invoke(ctx context.Context, job store.Job) error {
	number := w.progress.Invocation + 1
	dir := w.path(fmt.Sprintf("invocation-%d", number))
	in := Invocation{Dir: dir, Function: Function{Name: w.function}}
	if !w.Runner.Begun(dir) {
		var err error
		if in, err = w.prepare(ctx, job, dir); err != nil {
			return err
		}
	}
	w.job.Progress("function " + w.function + " runs")
	outcome, err := w.Runner.Invoke(ctx, in)
	if err != nil {
		return err
	}
	w.progress.Invocation, w.progress.Ended = number, true
	if err := w.judge(ctx, outcome); err != nil {
		return err
	}
	return w.keep()
}

// grant is what the function may do, but for how long.
func (w *work) grant() Grant {
	return Grant{Job: w.id, Pipeline: w.job.Pipeline, Inputs: w.job.Inputs, Outputs: w.job.Action.Outputs}
}

// prepare makes an invocation that has not begun.
func (w *work) prepare(ctx context.Context, job store.Job, dir string) (Invocation, error) {
	f, err := w.Functions.Function(ctx, w.function)
	if errors.Is(err, store.ErrNotFound) {
		return Invocation{}, refusal(fmt.Sprintf("there is no function %s: make it with `towline function put %s --runtime RUNTIME --handler HANDLER --dir DIR`", w.function, w.function))
	}
	if err != nil {
		return Invocation{}, err
	}
	grant := w.grant()
	grant.Lasting = f.Timeout + w.pace.Reply + initWithinMost
	given, err := w.Access.Grant(ctx, grant)
	if err != nil {
		return Invocation{}, fmt.Errorf("let function %s reach the artifacts of its job: %w", w.function, err)
	}
	event, err := newEvent(w.id, w.Account, w.job, given, job.Continuation)
	if err != nil {
		return Invocation{}, err
	}
	in := Invocation{ID: NewID(), Function: f, Event: event, Credentials: given.Credentials, Dir: dir, LogFiles: []string{w.job.LogFile}}
	if w.LogFile != nil {
		own, err := w.LogFile(w.function)
		if err != nil {
			return in, err
		}
		in.LogFiles = append(in.LogFiles, own)
	}
	return in, nil
}

// initWithinMost is what is added to the life of credentials for the time in
// which a function begins.
const initWithinMost = 5 * time.Minute

// judge says what follows from an invocation that has ended while the job has
// no result.
func (w *work) judge(ctx context.Context, outcome Outcome) error {
	if outcome.Error == nil {
		w.progress.Failed, w.progress.Due = 0, w.Now().Add(w.pace.Reply)
		return nil
	}
	job, err := w.Jobs.Job(ctx, w.id)
	if err != nil || job.Status != store.JobInProgress {
		return err // It had said enough before it failed.
	}
	w.progress.Failed++
	if w.progress.Failed > len(w.pace.Retries) {
		return refusal(w.why(outcome))
	}
	pause := w.pace.Retries[w.progress.Failed-1]
	w.progress.Again = w.Now().Add(pause)
	fmt.Fprintf(w.job.Log, "function %s failed: %s; the same event is given to it again in %s\n", w.function, outcome.Error, pause)
	return nil
}

// why says how a function has failed for good.
func (w *work) why(outcome Outcome) string {
	times := fmt.Sprintf("%d times", w.progress.Failed)
	if w.progress.Failed == 1 {
		times = "once"
	}
	text := fmt.Sprintf("function %s was invoked %s and failed without a result for its job: %s", w.function, times, outcome.Error)
	if len(outcome.Tail) > 0 {
		text += "\nThe last lines that it printed:\n  " + strings.Join(outcome.Tail, "\n  ")
	}
	return text
}

// result is what the function has made of its job.
func (w *work) result(ctx context.Context, job store.Job) (pipeline.Result, error) {
	if !w.progress.Ended {
		// It has said how the job ended, and may have to finish something.
		if err := w.invoke(ctx, job); err != nil {
			return pipeline.Result{}, err
		}
	}
	if job.Status == store.JobFailed {
		return pipeline.Fail("%s", job.Report.Failure), nil
	}
	result := pipeline.Result{Outcome: pipeline.Succeeded, Variables: job.Report.Variables, Summary: job.Report.Summary}
	if len(w.job.Action.Outputs) == 0 {
		return result, nil
	}
	made, err := w.Access.Made(ctx, w.grant())
	if bad, ok := errors.AsType[*OutputError](err); ok {
		return pipeline.Fail("function %s reported success, but its %s", w.function, bad), nil
	}
	if err != nil {
		return pipeline.Result{}, fmt.Errorf("take the artifacts that function %s has made: %w", w.function, err)
	}
	result.Artifacts = made
	for _, name := range w.job.Action.Outputs {
		if !slices.ContainsFunc(made, func(a pipeline.Artifact) bool { return a.Name == name }) {
			return pipeline.Fail("function %s reported success, but has not put the output artifact %s to the place that its event names", w.function, name), nil
		}
	}
	return result, nil
}

// close lets the function of a job say no more.
func (w *work) close(ctx context.Context) error {
	err := w.Access.Revoke(ctx, w.grant())
	for {
		job, getting := w.Jobs.Job(ctx, w.id)
		if getting != nil {
			return errors.Join(err, getting)
		}
		if job.Status == store.JobSucceeded || job.Status == store.JobFailed {
			return err
		}
		over := job
		over.Status, over.At = store.JobFailed, w.Now()
		ok, ending := w.Jobs.ReportJob(ctx, job, over)
		if ending != nil || ok {
			return errors.Join(err, ending)
		}
	}
}
