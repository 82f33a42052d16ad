package function_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/function"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// given is what the function of a job has been given.
type given struct {
	Job struct {
		ID        string
		AccountID string
		Data      struct {
			ActionConfiguration struct{ Configuration map[string]string }
			InputArtifacts      []struct {
				Name     string
				Revision string
				Location struct {
					Type       string
					S3Location struct{ BucketName, ObjectKey string }
				}
			}
			OutputArtifacts     []struct{ Name string }
			ArtifactCredentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }
			ContinuationToken   string
		}
	} `json:"CodePipeline.job"`
}

// bench is an action whose functions are steps of a test.
type bench struct {
	*function.Action
	db  *store.DB
	job pipeline.Job

	mu      sync.Mutex
	steps   []func(ctx context.Context, g given) function.Outcome
	given   []given
	begun   map[string]function.Outcome // by directory
	revoked []string
	grants  []function.Grant
}

var _ function.Invoker = (*bench)(nil)

func newBench(t *testing.T, steps ...func(context.Context, given) function.Outcome) *bench {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bench{db: db, steps: steps, begun: map[string]function.Outcome{}}
	b.job = pipeline.Job{
		Pipeline: "web", Execution: "web-1", Stage: "Deploy", Attempt: 1, Revision: pipeline.Revision{Commit: "3f9c2e1"},
		Action:        pipeline.Action{Name: "function"},
		Configuration: json.RawMessage(`{"FunctionName": "f", "UserParameters": "v1"}`),
		Inputs:        []pipeline.Artifact{{Name: "app", Digest: "sha256:abc", Size: 3}},
		Dir:           dir, LogFile: filepath.Join(dir, "function.log"), Log: io.Discard, Progress: func(string) {},
	}
	b.Action = &function.Action{
		Functions: b, Runner: b, Jobs: db, Access: b, Account: "000000000000", Now: time.Now,
		Pace: function.Pace{Pause: time.Millisecond, Retries: []time.Duration{time.Millisecond, time.Millisecond}, Reply: 100 * time.Millisecond, Look: time.Millisecond},
	}
	return b
}

func (b *bench) Function(_ context.Context, name string) (function.Function, error) {
	if name != "f" {
		return function.Function{}, store.ErrNotFound
	}
	return function.Function{Name: name, Runtime: "python3.x", Timeout: time.Minute}, nil
}

func (b *bench) Begun(dir string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.begun[dir]
	return ok
}

func (b *bench) Invoke(ctx context.Context, in function.Invocation) (function.Outcome, error) {
	b.mu.Lock()
	if outcome, ok := b.begun[in.Dir]; ok {
		b.mu.Unlock()
		return outcome, nil
	}
	var g given
	if err := json.Unmarshal(in.Event, &g); err != nil {
		b.mu.Unlock()
		return function.Outcome{}, err
	}
	number := len(b.given)
	b.given = append(b.given, g)
	b.begun[in.Dir] = function.Outcome{}
	b.mu.Unlock()
	outcome := b.steps[number](ctx, g)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun[in.Dir] = outcome
	if ctx.Err() != nil {
		return function.Outcome{}, context.Cause(ctx)
	}
	return outcome, nil
}

func (b *bench) Grant(_ context.Context, g function.Grant) (function.Granted, error) {
	b.grants = append(b.grants, g)
	return function.Granted{
		Credentials: function.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "s", SessionToken: "t"},
		Places:      map[string]function.Location{"app": {Bucket: "towline-artifacts", Key: "web/app/abc"}, "out": {Bucket: "towline-artifacts", Key: "web/out/new"}},
	}, nil
}

func (b *bench) Made(_ context.Context, g function.Grant) (made []pipeline.Artifact, err error) {
	if b.job.Configuration != nil && strings.Contains(string(b.job.Configuration), "leaves") {
		for _, name := range g.Outputs {
			made = append(made, pipeline.Artifact{Name: name, Digest: "sha256:def"})
		}
	}
	return made, nil
}

func (b *bench) Revoke(_ context.Context, g function.Grant) error {
	b.revoked = append(b.revoked, g.Job)
	return nil
}

// says reports what a function says of its job, as the API does.
func (b *bench) says(t *testing.T, g given, said store.Job) {
	t.Helper()
	was, err := b.db.Job(context.Background(), g.Job.ID)
	if err != nil {
		t.Error(err)
		return
	}
	said.At = time.Now()
	if ok, err := b.db.ReportJob(context.Background(), was, said); err != nil || !ok {
		t.Errorf("report: %v, %v", ok, err)
	}
}

func (b *bench) run(t *testing.T) pipeline.Result {
	t.Helper()
	result, err := b.Run(t.Context(), b.job)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestAFunctionEndsItsJob(t *testing.T) {
	t.Parallel()
	var b *bench
	b = newBench(t, func(_ context.Context, g given) function.Outcome {
		b.says(t, g, store.Job{Status: store.JobSucceeded, Report: store.JobReport{Summary: "all well", Variables: map[string]string{"A": "1"}}})
		return function.Outcome{}
	})
	got := b.run(t)
	want := pipeline.Result{Outcome: pipeline.Succeeded, Summary: "all well", Variables: map[string]string{"A": "1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	data := b.given[0].Job.Data
	if b.given[0].Job.AccountID != "000000000000" || data.ActionConfiguration.Configuration["UserParameters"] != "v1" || data.ArtifactCredentials.SessionToken != "t" ||
		len(data.InputArtifacts) != 1 || data.InputArtifacts[0].Location.S3Location.ObjectKey != "web/app/abc" || data.InputArtifacts[0].Revision != "3f9c2e1" {
		t.Errorf("event %+v", b.given[0])
	}
	if len(b.revoked) != 1 || b.grants[0].Job != b.given[0].Job.ID {
		t.Errorf("revoked %v, grants %+v", b.revoked, b.grants)
	}
}

func TestAFunctionFailsItsJob(t *testing.T) {
	t.Parallel()
	var b *bench
	b = newBench(t, func(_ context.Context, g given) function.Outcome {
		b.says(t, g, store.Job{Status: store.JobFailed, Report: store.JobReport{Failure: "JobFailed: no"}})
		return function.Outcome{Error: &function.Error{Type: "E", Message: "it fails afterwards too"}}
	})
	if got := b.run(t); got.Outcome != pipeline.Failed || got.Message != "JobFailed: no" || len(b.given) != 1 {
		t.Errorf("%+v after %d invocations", got, len(b.given))
	}
}

func TestAFunctionGoesOnByAToken(t *testing.T) {
	t.Parallel()
	var b *bench
	goOn := func(token string) func(context.Context, given) function.Outcome {
		return func(_ context.Context, g given) function.Outcome {
			b.says(t, g, store.Job{Status: store.JobQueued, Continuation: token, Report: store.JobReport{Summary: "some", Percent: 10}})
			return function.Outcome{}
		}
	}
	b = newBench(t, goOn("one"), goOn("two"), func(_ context.Context, g given) function.Outcome {
		b.says(t, g, store.Job{Status: store.JobSucceeded})
		return function.Outcome{}
	})
	if got := b.run(t); got.Outcome != pipeline.Succeeded {
		t.Error(got)
	}
	var tokens []string
	for _, g := range b.given {
		tokens = append(tokens, g.Job.Data.ContinuationToken)
		if g.Job.ID != b.given[0].Job.ID {
			t.Error("the job has another id")
		}
	}
	if diff := cmp.Diff([]string{"", "one", "two"}, tokens); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestAFunctionThatFailsIsInvokedThreeTimes(t *testing.T) {
	t.Parallel()
	fails := func(context.Context, given) function.Outcome {
		return function.Outcome{Error: &function.Error{Type: "ValueError", Message: "no"}, Tail: []string{"a line", "the last one"}}
	}
	t.Run("and then fails the action with its words", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, fails, fails, fails)
		got := b.run(t)
		if got.Outcome != pipeline.Failed || len(b.given) != 3 || b.given[2].Job.ID != b.given[0].Job.ID {
			t.Errorf("%+v after %d invocations", got, len(b.given))
		}
		for _, want := range []string{"3 times", "ValueError: no", "the last one"} {
			if !strings.Contains(got.Message, want) {
				t.Errorf("the message has no %q: %s", want, got.Message)
			}
		}
	})
	t.Run("and may succeed on the way", func(t *testing.T) {
		t.Parallel()
		var b *bench
		b = newBench(t, fails, func(_ context.Context, g given) function.Outcome {
			b.says(t, g, store.Job{Status: store.JobSucceeded})
			return function.Outcome{}
		})
		if got := b.run(t); got.Outcome != pipeline.Succeeded || len(b.given) != 2 {
			t.Errorf("%+v after %d invocations", got, len(b.given))
		}
	})
}

func TestAFunctionThatReturnsMayReportLater(t *testing.T) {
	t.Parallel()
	var b *bench
	b = newBench(t, func(_ context.Context, g given) function.Outcome {
		time.AfterFunc(20*time.Millisecond, func() { b.says(t, g, store.Job{Status: store.JobSucceeded}) })
		return function.Outcome{}
	})
	b.Pace.Reply = time.Minute
	if got := b.run(t); got.Outcome != pipeline.Succeeded {
		t.Error(got)
	}
}

func TestAFunctionThatSaysNothingFailsItsJob(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, given) function.Outcome { return function.Outcome{} })
	got := b.run(t)
	if got.Outcome != pipeline.Failed || !strings.Contains(got.Message, "PutJobSuccessResult") || len(b.given) != 1 {
		t.Error(got)
	}
	job, err := b.db.Job(t.Context(), b.given[0].Job.ID)
	if err != nil || job.Status != store.JobFailed {
		t.Errorf("the job is %s, %v: what the function says now would be taken", job.Status, err)
	}
}

func TestAFunctionThatIsNotThereFailsTheAction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for configuration, want := range map[string]string{`{"FunctionName": "other"}`: "towline function put other", `{"FunctionName": "f:live"}`: "alias", `{}`: "no name"} {
		b.job.Configuration = json.RawMessage(configuration)
		b.job.Action.Name = "function" + want[:2]
		if got := b.run(t); got.Outcome != pipeline.Failed || !strings.Contains(got.Message, want) {
			t.Errorf("%s: %+v", configuration, got)
		}
	}
}

func TestOutputsAreTaken(t *testing.T) {
	t.Parallel()
	for parameters, want := range map[string]pipeline.Outcome{"leaves": pipeline.Succeeded, "forgets": pipeline.Failed} {
		var b *bench
		b = newBench(t, func(_ context.Context, g given) function.Outcome {
			b.says(t, g, store.Job{Status: store.JobSucceeded})
			return function.Outcome{}
		})
		b.job.Action.Outputs = []string{"out"}
		b.job.Configuration = json.RawMessage(`{"FunctionName": "f", "UserParameters": "` + parameters + `"}`)
		if got := b.run(t); got.Outcome != want || want == pipeline.Succeeded && (len(got.Artifacts) != 1 || got.Artifacts[0].Name != "out") {
			t.Errorf("%s: %+v", parameters, got)
		}
	}
}

func TestARestartInvokesNothingTwice(t *testing.T) {
	t.Parallel()
	var b *bench
	begun := make(chan given, 1)
	b = newBench(t, func(ctx context.Context, g given) function.Outcome {
		begun <- g
		<-ctx.Done() // The server stops, and the function runs on.
		return function.Outcome{}
	})
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.Run(ctx, b.job)
		ended <- err
	}()
	g := <-begun
	stop(pipeline.ErrShutdown)
	if err := <-ended; !errors.Is(err, pipeline.ErrShutdown) {
		t.Fatal(err)
	}
	b.says(t, g, store.Job{Status: store.JobSucceeded, Report: store.JobReport{Summary: "said while nobody was there"}})
	if got := b.run(t); got.Outcome != pipeline.Succeeded || got.Summary != "said while nobody was there" || len(b.given) != 1 {
		t.Errorf("%+v after %d invocations", got, len(b.given))
	}
}

func TestAnEndedActionTakesNoResult(t *testing.T) {
	t.Parallel()
	var b *bench
	begun := make(chan given, 1)
	b = newBench(t, func(ctx context.Context, g given) function.Outcome {
		begun <- g
		<-ctx.Done()
		return function.Outcome{}
	})
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.Run(ctx, b.job)
		ended <- err
	}()
	g := <-begun
	stop(pipeline.ErrAbandoned)
	if err := <-ended; !errors.Is(err, pipeline.ErrAbandoned) {
		t.Fatal(err)
	}
	if job, err := b.db.Job(t.Context(), g.Job.ID); err != nil || job.Status != store.JobFailed || len(b.revoked) != 1 {
		t.Error(job.Status, err, b.revoked)
	}
}
