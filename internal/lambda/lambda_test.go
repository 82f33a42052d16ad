package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/lambda"
	"github.com/towline/towline/internal/pipeline"
)

// said is what a function has told CodePipeline of its job.
type said struct {
	lambda.Success
	Kind, Message string // of a failure
}

// bench is a function whose deployments are a test's own.
type bench struct {
	*lambda.Function
	said     []said
	fetched  []string
	requests []deploy.Request
	aborted  []deploy.DecideRequest
	files    map[string]string // of the artifact
	deploy   func(ctx context.Context, request deploy.Request) (pipeline.Deployment, error)
	now      time.Time
}

func newBench(t *testing.T, deploying func(ctx context.Context, request deploy.Request) (pipeline.Deployment, error)) *bench {
	t.Helper()
	b := &bench{deploy: deploying, now: time.Now(), files: map[string]string{"k8s/web.yaml": "kind: Service\n"}}
	b.Function = &lambda.Function{
		Source: b, Reporter: b, Dir: t.TempDir(), Log: io.Discard, Now: func() time.Time { return b.now },
		Connect: func(context.Context, lambda.Parameters) (*kube.Cluster, error) {
			return kube.ConnectWith("production", kube.Credential{Kind: kube.TokenCredential, Server: "https://127.0.0.1:1", Token: "t", Insecure: true})
		},
		Deployer: func(deploy.Config) lambda.Deployer { return b },
	}
	return b
}

func (b *bench) Succeed(_ context.Context, _ string, s lambda.Success) error {
	b.said = append(b.said, said{Success: s})
	return nil
}

func (b *bench) Fail(_ context.Context, _, kind, message string) error {
	b.said = append(b.said, said{Kind: kind, Message: message})
	return nil
}

func (b *bench) Fetch(_ context.Context, _ events.CodePipelineJob, input events.CodePipelineInputArtifact, dir string) error {
	b.fetched = append(b.fetched, input.Name)
	for name, text := range b.files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) Deploy(ctx context.Context, request deploy.Request) (pipeline.Deployment, error) {
	b.requests = append(b.requests, request)
	return b.deploy(ctx, request)
}

func (b *bench) Abort(_ context.Context, request deploy.DecideRequest) (pipeline.Deployment, error) {
	b.aborted = append(b.aborted, request)
	return pipeline.Deployment{}, nil
}

// event is that of a job, with one artifact for each name.
func event(t *testing.T, parameters, token string, inputs ...string) events.CodePipelineJobEvent {
	t.Helper()
	e := events.CodePipelineJobEvent{CodePipelineJob: events.CodePipelineJob{ID: "11111111-abcd-1111-abcd-111111abcdef"}}
	e.CodePipelineJob.Data.ActionConfiguration.Configuration.UserParameters = parameters
	e.CodePipelineJob.Data.ContinuationToken = token
	for _, name := range inputs {
		e.CodePipelineJob.Data.InputArtifacts = append(e.CodePipelineJob.Data.InputArtifacts, events.CodePipelineInputArtifact{Name: name})
	}
	return e
}

// handle gives a job to the function, and returns what it said last.
func (b *bench) handle(t *testing.T, e events.CodePipelineJobEvent) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.Handle(ctx, e); err != nil {
		t.Fatal(err)
	}
	if len(b.said) == 0 {
		t.Fatal("it said nothing")
	}
	return b.said[len(b.said)-1]
}

func succeeds(context.Context, deploy.Request) (pipeline.Deployment, error) {
	return pipeline.Deployment{
		App: "web", Namespace: "shop", Revision: 7, Strategy: "immutable", Outcome: pipeline.Succeeded, URL: "http://web",
		Verdict: &pipeline.Verdict{Requests: 1204, LongestGapMs: 14},
	}, nil
}

func TestADeploymentEndsItsJob(t *testing.T) {
	t.Parallel()
	b := newBench(t, succeeds)
	got := b.handle(t, event(t, `{"app": "web", "namespace": "shop", "strategy": "immutable", "commit": "abc"}`, "", "source"))
	want := said{Success: lambda.Success{
		Summary: "web: revision 7, immutable, 0 of 1204 requests lost, longest gap 14 ms",
		Variables: map[string]string{
			"Revision": "7", "Namespace": "shop", "URL": "http://web", "Requests": "1204", "Lost": "0", "Verdict": "0 of 1204 requests lost, longest gap 14 ms",
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	request := b.requests[0]
	if request.App != "web" || request.Strategy != "immutable" || request.Commit != "abc" || request.Key != "codepipeline.11111111-abcd-1111-abcd-111111abcdef" {
		t.Errorf("request %+v", request)
	}
	if left, err := os.ReadDir(b.Dir); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func TestADeploymentThatFailsFailsItsJob(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, deploy.Request) (pipeline.Deployment, error) {
		return pipeline.Deployment{Outcome: pipeline.Failed, Message: "image not found"}, nil
	})
	if got := b.handle(t, event(t, `{"app": "web"}`, "", "source")); got.Kind != "JobFailed" || got.Message != "image not found" {
		t.Error(got)
	}
}

func TestADeploymentGoesOnWithTheNextInvocation(t *testing.T) {
	t.Parallel()
	slices := 0
	b := newBench(t, func(ctx context.Context, request deploy.Request) (pipeline.Deployment, error) {
		if slices++; slices < 3 {
			<-ctx.Done()
			return pipeline.Deployment{Revision: 7}, errors.Join(context.Cause(ctx), errors.New("and an echo of it"))
		}
		return succeeds(ctx, request)
	})
	token := ""
	for range 2 {
		got := b.handle(t, event(t, `{"app": "web"}`, token, "source"))
		if got.Token == "" || got.Kind != "" || len(got.Variables) > 0 {
			t.Fatal(got)
		}
		token = got.Token
	}
	again := event(t, `{"app": "web"}`, token, "source")
	again.CodePipelineJob.ID = "another" // as the next invocation's may be
	if got := b.handle(t, again); got.Token != "" || got.Variables["Revision"] != "7" {
		t.Error(got)
	}
	for _, request := range b.requests {
		if request.Key != b.requests[0].Key {
			t.Errorf("keys %q and %q", request.Key, b.requests[0].Key)
		}
	}
}

func TestSlicesThatAreTooShortAreToldWithTheTimeoutToGive(t *testing.T) {
	t.Parallel()
	stalled := &deploy.StalledError{What: "the rehearsal", Time: 14 * time.Second}
	stalls := true
	b := newBench(t, func(context.Context, deploy.Request) (pipeline.Deployment, error) {
		if !stalls {
			return pipeline.Deployment{Revision: 7}, pipeline.ErrShutdown
		}
		return pipeline.Deployment{Revision: 7}, errors.Join(pipeline.ErrShutdown, stalled)
	})
	handle := func(token string) said {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := b.Handle(ctx, event(t, `{"app": "web"}`, token, "source")); err != nil {
			t.Fatal(err)
		}
		return b.said[len(b.said)-1]
	}
	first := handle("")
	if first.Token == "" || !strings.Contains(first.Summary, "the rehearsal had not ended after 14s") {
		t.Errorf("the first slice said %+v", first)
	}
	stalls = false
	second := handle(first.Token)
	stalls = true
	third := handle(second.Token)
	if third.Token == "" {
		t.Errorf("a slice that stalled after one that got further said %+v", third)
	}
	last := handle(third.Token)
	// An hour is more than Lambda gives, which is the most that can be asked for.
	if last.Kind != "ConfigurationError" || !strings.Contains(last.Message, "has got no further in 2 invocations: the rehearsal had not ended after 14s, and is begun anew") ||
		!strings.Contains(last.Message, "timeout of 15m0s or more, with `aws lambda update-function-configuration --timeout 900` or, here, `towline function put NAME --timeout 15m0s`") {
		t.Errorf("the last slice said %+v", last)
	}
}

func TestAClusterThatIsAwayIsAskedAgainAndThenGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, deploy.Request) (pipeline.Deployment, error) {
		return pipeline.Deployment{}, errors.New("the cluster is away")
	})
	token := ""
	for range 5 {
		got := b.handle(t, event(t, `{"app": "web"}`, token, "source"))
		if got.Token == "" || !strings.Contains(got.Summary, "is away") {
			t.Fatal(got)
		}
		token = got.Token
	}
	if got := b.handle(t, event(t, `{"app": "web"}`, token, "source")); got.Kind != "SystemUnavailable" || !strings.Contains(got.Message, "is away") {
		t.Error(got)
	}
}

func TestADeploymentThatTakesTooLongIsAborted(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(ctx context.Context, _ deploy.Request) (pipeline.Deployment, error) {
		<-ctx.Done()
		return pipeline.Deployment{}, context.Cause(ctx)
	})
	token := b.handle(t, event(t, `{"app": "web", "namespace": "shop", "timeout": "1m"}`, "", "source")).Token
	b.now = b.now.Add(5 * time.Minute)
	token = b.handle(t, event(t, `{"app": "web", "namespace": "shop", "timeout": "1m"}`, token, "source")).Token
	if len(b.aborted) != 0 {
		t.Fatal("it was aborted too soon")
	}
	b.now = b.now.Add(2 * time.Minute)
	for range 2 {
		token = b.handle(t, event(t, `{"app": "web", "namespace": "shop", "timeout": "1m"}`, token, "source")).Token
	}
	if len(b.aborted) != 1 || b.aborted[0].App != "web" || b.aborted[0].Namespace != "shop" || !b.aborted[0].Leave {
		t.Errorf("aborted %+v", b.aborted)
	}
}

func TestWrongParametersAreToldAndNothingIsDeployed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parameters string
		inputs     []string
		want       string
	}{
		"none":                       {"", []string{"source"}, "no UserParameters"},
		"no JSON":                    {"web", []string{"source"}, "read UserParameters"},
		"an unknown key":             {`{"app": "web", "strateyg": "rolling"}`, []string{"source"}, "strateyg"},
		"no app":                     {`{"namespace": "web"}`, []string{"source"}, "no app"},
		"a strategy that is not one": {`{"app": "web", "strategy": "canary"}`, []string{"source"}, "canary"},
		"no artifact":                {`{"app": "web"}`, nil, "0 input artifacts"},
		"two artifacts":              {`{"app": "web"}`, []string{"a", "b"}, "2 input artifacts"},
		"another artifact":           {`{"app": "web", "artifact": "c"}`, []string{"a", "b"}, `no input artifact "c"`},
		"a config outside":           {`{"app": "web", "config": "../deploy.yaml"}`, []string{"source"}, "not inside"},
		"a config that is not there": {`{"app": "web", "config": "deploy.yaml"}`, []string{"source"}, "deploy.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, succeeds)
			got := b.handle(t, event(t, c.parameters, "", c.inputs...))
			if got.Kind != "ConfigurationError" || !strings.Contains(got.Message, c.want) || len(b.requests) != 0 {
				t.Errorf("%+v after %d deployments, want ...%s", got, len(b.requests), c.want)
			}
		})
	}
}

func TestParametersWinOverTheFileInTheArtifact(t *testing.T) {
	t.Parallel()
	b := newBench(t, succeeds)
	b.files["deploy.yaml"] = "app: web\nnamespace: shop\nstrategy: immutable\nverify: {path: /healthz, rate: 50}\n"
	b.handle(t, event(t, `{"config": "deploy.yaml", "strategy": "rolling", "images": {"web": "web:2"}, "artifact": "b"}`, "", "a", "b"))
	want := pipeline.Deploy{App: "web", Namespace: "shop", Strategy: "rolling", Images: map[string]string{"web": "web:2"}, Verify: pipeline.Verify{Path: "/healthz", Rate: 50}}
	if diff := cmp.Diff(want, b.requests[0].Deploy); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b"}, b.fetched); diff != "" {
		t.Errorf("fetched (-want +got):\n%s", diff)
	}
}

func TestAnEventThatIsNoJobIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, succeeds)
	if err := b.Handle(t.Context(), events.CodePipelineJobEvent{}); err == nil || len(b.said) != 0 {
		t.Error(err, b.said)
	}
}

func FuzzParseParameters(f *testing.F) {
	for _, seed := range []string{`{"app": "web"}`, `{"app": "web", "helm": {"set": {"a": [1]}}}`, `{}`, `[]`, `{"config": "../x"}`, `{"app": "web"} {}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := lambda.ParseParameters(text)
		if err == nil && (p.App == "" && p.Config == "" || !json.Valid([]byte(text))) {
			t.Errorf("%q was taken for %+v", text, p)
		}
	})
}
