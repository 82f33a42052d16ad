package codebuild_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/codebuild"
	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/project/queue"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

const secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

// keys has one for each role: AKIA and the role's name, filled up with 2.
type keys struct{}

func keyID(role client.Role) string {
	return ("AKIA" + strings.ToUpper(string(role)) + "2222222222222222")[:20]
}

func (keys) Key(_ context.Context, id string) (access.Key, error) {
	for _, role := range []client.Role{client.Viewer, client.Operator, client.Admin} {
		if keyID(role) == id {
			return access.Key{ID: id, Secret: secretKey, Role: role}, nil
		}
	}
	return access.Key{}, store.ErrNotFound
}

func (keys) Used(context.Context, string) error { return nil }

// runner ends builds as their buildspec says in a word, and waits for the stop
// of others.
type runner struct{ db *store.DB }

func (r runner) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	var c pipeline.Build
	if err := json.Unmarshal(job.Configuration, &c); err != nil {
		return pipeline.Result{}, err
	}
	fmt.Fprintln(job.Log, "running", c.Env["A"])
	if c.Batch != nil {
		return batch(ctx, job, c.Buildspec)
	}
	switch c.Buildspec {
	case "good.yml":
		return pipeline.Result{Outcome: pipeline.Succeeded, Variables: map[string]string{"V": "1"}, Phases: []pipeline.Phase{{Name: "install", Seconds: 0.001}, {Name: "build", Seconds: 0.001}}}, nil
	case "made.yml":
		return pipeline.Result{Outcome: pipeline.Succeeded, Artifacts: []pipeline.Artifact{{Name: "app", Digest: "sha256:1f", Size: 3}, {Name: "docs", Digest: "sha256:2f", Size: 3}}}, nil
	case "bad.yml":
		tests := pipeline.Summarize(reports())
		run := pipeline.TestRun{Pipeline: job.Pipeline, Execution: job.Execution, Stage: job.Stage, Attempt: job.Attempt, Action: job.Action.Name, Totals: *tests, Reports: reports()}
		if err := r.db.Record(ctx, run); err != nil {
			return pipeline.Result{}, err
		}
		return pipeline.Result{Outcome: pipeline.Failed, Message: "phase build failed", Tests: tests, Phases: []pipeline.Phase{{Name: "build", Seconds: 0.001, Failure: "exit status 7"}}}, nil
	case "broken.yml":
		return pipeline.Result{}, errors.New("the disk is full")
	case "slow.yml":
		return pipeline.Result{Outcome: pipeline.Failed, Message: "too long", Phases: []pipeline.Phase{{Name: "build", Failure: "the time was up", TimedOut: true}}}, nil
	}
	<-ctx.Done()
	return pipeline.Result{}, context.Cause(ctx)
}

// batch has the builds one and two, of which two fails with the buildspec
// bad.yml, until it is run again.
func batch(ctx context.Context, job pipeline.Job, buildspec string) (pipeline.Result, error) {
	parts := []pipeline.Part{{Identifier: "one"}, {Number: 1, Identifier: "two", DependsOn: []string{"one"}, IgnoreFailure: true}}
	refused, err := job.Parts.Plan(ctx, parts)
	if err != nil || refused != "" {
		return pipeline.Fail("%s", refused), err
	}
	whole := pipeline.Result{Outcome: pipeline.Succeeded}
	for _, p := range parts {
		own := job
		own.Action.Name += fmt.Sprint(p.Number)
		result, err := job.Parts.Part(ctx, p, own, func(ctx context.Context, job pipeline.Job, env map[string]string) (pipeline.Result, error) {
			fmt.Fprintln(job.Log, p.Identifier, "is", env["CODEBUILD_BUILD_ID"])
			switch {
			case buildspec == "hang.yml":
				<-ctx.Done()
				return pipeline.Result{}, context.Cause(ctx)
			case buildspec == "bad.yml" && p.Identifier == "two":
				return pipeline.Fail("two says no"), nil
			}
			return pipeline.Result{Outcome: pipeline.Succeeded}, nil
		})
		if err != nil {
			return pipeline.Result{}, err
		}
		if result.Outcome != pipeline.Succeeded {
			whole.Outcome, whole.Message = pipeline.Failed, result.Message
		}
	}
	return whole, nil
}

// nothing is where all sources come from.
type nothing struct{}

func (nothing) Fetch(_ context.Context, f builder.Fetch) (builder.Fetched, error) {
	if f.Version == "gone" {
		return builder.Fetched{}, &project.Error{Kind: project.ErrInvalid, Message: "there is no revision gone"}
	}
	return builder.Fetched{Artifact: pipeline.Artifact{Digest: "sha256:0"}, Resolved: "3f9c2e1"}, nil
}

// bucket takes all artifacts.
type bucket struct{}

func (bucket) Deliver(_ context.Context, d builder.Delivery) (string, error) {
	if d.Unpacked {
		return "", nil
	}
	return "3f", nil
}

// aws is AWS's command with the key of a role.
type aws struct {
	t    *testing.T
	path string
	url  string
	role client.Role
	// builder is what the command talks to.
	builder *builder.Builder
}

func (a aws) as(role client.Role) aws { a.role = role; return a }

// run calls `aws codebuild` and returns what it printed, without blanks.
func (a aws) run(args ...string) (out, errs string) {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), a.path, append([]string{"codebuild", "--endpoint-url", a.url, "--region", "eu-west-1", "--output", "json"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + a.t.TempDir(), "AWS_ACCESS_KEY_ID=" + keyID(a.role), "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true"}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		a.t.Fatal(err)
	}
	return strings.Join(strings.Fields(stdout.String()), ""), strings.TrimSpace(stderr.String())
}

// must is run for a call that has to succeed. A query chooses of its answer.
func (a aws) must(query string, args ...string) string {
	a.t.Helper()
	out, errs := a.run(append(args, "--query", query)...)
	if errs != "" {
		a.t.Fatalf("aws codebuild %s: %s", strings.Join(args, " "), errs)
	}
	return strings.Trim(out, `"`)
}

// ended waits for the end of a build or a batch.
func (a aws) ended(id string) {
	a.t.Helper()
	waittest.Until(a.t, id+" ends", func() bool {
		b, err := a.builder.Build(a.t.Context(), id)
		return err == nil && b.Done()
	})
}

func setup(t *testing.T) aws {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the aws command is missing: install Debian's package awscli, or pip's (scripts/deps test)")
	}
	dir := t.TempDir()
	db, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	builder := builder.New(builder.Config{
		Store: db, Runner: func(string) builder.Runner { return runner{db} }, Sources: nothing{}, Buckets: bucket{}, Dir: dir, Account: "123456789012", Queue: queue.New(8),
		OpenLog: func(path string) (io.WriteCloser, error) { return report.OpenLog(path) },
	})
	api, err := codebuild.New(codebuild.Config{Projects: builder, Builds: builder, Batches: builder, Groups: builder.Reports, Reports: builder.Reports, Pages: []byte(strings.Repeat("k", 32))})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(answersChecked(t, wire.New(wire.Config{Keys: keys{}, Account: "123456789012", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, api)))
	t.Cleanup(func() {
		server.Close()
		if err := errors.Join(builder.Shutdown(waittest.Patience), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return aws{t, path, server.URL, client.Admin, builder}
}

// create makes a project with a buildspec.
func (a aws) create(name, buildspec string) {
	a.t.Helper()
	text := fmt.Sprintf(`{"name": %q, "source": {"type": "GITHUB", "location": "https://github.com/acme/web", "buildspec": %q, "gitCloneDepth": 1}, "artifacts": {"type": "NO_ARTIFACTS"},
		"environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"}, "serviceRole": "arn:aws:iam::123456789012:role/x",
		"vpcConfig": {"vpcId": "vpc-1"}, "tags": [{"key": "team", "value": "shop"}]}`, name, buildspec)
	file := filepath.Join(a.t.TempDir(), "project.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.must("project.name", "create-project", "--cli-input-json", "file://"+file)
}

func (a aws) is(what, got, want string) {
	a.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestProjectsThroughTheAWSCommand(t *testing.T) {
	t.Parallel()
	a := setup(t)
	a.create("web", "good.yml")
	a.create("shop", "good.yml")
	a.is("what was given comes back", a.must("projects[0].[arn,source.gitCloneDepth,vpcConfig.vpcId,tags[0].value,timeoutInMinutes,environment.environmentVariables]", "batch-get-projects", "--names", "web", "nope"),
		`["arn:aws:codebuild:eu-west-1:123456789012:project/web",1,"vpc-1","shop",60,[]]`)
	a.is("what is not there", a.must("projectsNotFound", "batch-get-projects", "--names", "web", "nope"), `["nope"]`)
	a.is("names", a.must("projects", "list-projects", "--sort-by", "NAME", "--sort-order", "DESCENDING"), `["web","shop"]`)
	a.is("a change", a.must("project.[source.location,source.gitCloneDepth,timeoutInMinutes,vpcConfig.vpcId]", "update-project", "--name", "web", "--source", "type=GITLAB,location=https://gitlab.com/acme/web", "--timeout-in-minutes", "30"),
		`["https://gitlab.com/acme/web",null,30,"vpc-1"]`)
	a.must("@", "delete-project", "--name", "shop")
	a.must("@", "delete-project", "--name", "shop")
	a.is("names after a deletion", a.must("projects", "list-projects"), `["web"]`)
	for want, args := range map[string][]string{
		"(ResourceAlreadyExistsException)":   {"create-project", "--name", "web", "--source", "type=GITHUB,location=x", "--artifacts", "type=NO_ARTIFACTS", "--environment", "type=LINUX_CONTAINER,image=i,computeType=BUILD_GENERAL1_SMALL", "--service-role", "r"},
		"(InvalidInputException)":            {"create-project", "--name", "win", "--source", "type=GITHUB,location=x", "--artifacts", "type=NO_ARTIFACTS", "--environment", "type=WINDOWS_CONTAINER,image=i,computeType=BUILD_GENERAL1_SMALL", "--service-role", "r"},
		"(ResourceNotFoundException)":        {"update-project", "--name", "nope", "--description", "x"},
		"(ValidationException)":              {"update-project", "--name", "web", "--source", "type=SVN"},
		"(OperationNotImplementedException)": {"list-curated-environment-images"},
	} {
		if _, errs := a.run(args...); !strings.Contains(errs, want) {
			t.Errorf("%v: %s, want %s", args, errs, want)
		}
	}
	if _, errs := a.as(client.Operator).run("delete-project", "--name", "web"); !strings.Contains(errs, "(AccessDeniedException)") {
		t.Errorf("an operator deletes: %s", errs)
	}
}

func TestBuildsThroughTheAWSCommand(t *testing.T) {
	t.Parallel()
	a := setup(t)
	a.create("web", "good.yml")
	start := func(buildspec string) string {
		t.Helper()
		id := a.must("build.id", "start-build", "--project-name", "web", "--buildspec-override", buildspec)
		if buildspec != "hang.yml" {
			a.ended(id)
		}
		return id
	}
	const fields = "builds[0].[buildStatus,currentPhase,phases[?contexts[0].statusCode].[phaseType,phaseStatus,contexts[0].statusCode] | [0]]"
	for buildspec, want := range map[string]string{
		"good.yml":   `["SUCCEEDED","COMPLETED",null]`,
		"bad.yml":    `["FAILED","COMPLETED",["BUILD","FAILED","COMMAND_EXECUTION_ERROR"]]`,
		"broken.yml": `["FAULT","COMPLETED",["BUILD","FAULT","INTERNAL_ERROR"]]`,
		"slow.yml":   `["TIMED_OUT","COMPLETED",["BUILD","TIMED_OUT","BUILD_TIMED_OUT"]]`,
	} {
		a.is(buildspec, a.must(fields, "batch-get-builds", "--ids", start(buildspec)), want)
	}
	gone := a.must("build.id", "start-build", "--project-name", "web", "--source-version", "gone")
	a.ended(gone)
	a.is("a version that is not there", a.must("builds[0].phases[?phaseStatus=='FAILED'].[phaseType,contexts[0].message] | [0]", "batch-get-builds", "--ids", gone), `["DOWNLOAD_SOURCE","thereisnorevisiongone"]`)

	good := start("good.yml")
	a.is("a build", a.must("builds[0].[resolvedSourceVersion,exportedEnvironmentVariables[0].name,initiator,logs.groupName,artifacts.location,buildNumber]", "batch-get-builds", "--ids", good),
		`["3f9c2e1","V","`+keyID(client.Admin)+`","/aws/codebuild/web",null,6]`)
	again := a.must("build.id", "retry-build", "--id", good)
	a.ended(again)
	a.is("a retry", a.must("builds[0].[sourceVersion,buildNumber]", "batch-get-builds", "--ids", again), `["3f9c2e1",7]`)

	made := a.must("build.id", "start-build", "--project-name", "web", "--buildspec-override", "made.yml",
		"--artifacts-override", "type=S3,location=releases,path=web,name=app.zip,packaging=ZIP,bucketOwnerAccess=FULL",
		"--secondary-artifacts-override", "type=S3,location=releases,name=docs,packaging=NONE,artifactIdentifier=docs,encryptionDisabled=true")
	a.ended(made)
	a.is("where artifacts went, and their sums when they are archives", a.must("builds[0].[artifacts.[location,sha256sum,md5sum,bucketOwnerAccess],secondaryArtifacts[0].[location,artifactIdentifier,sha256sum,md5sum,encryptionDisabled]]", "batch-get-builds", "--ids", made),
		`[["arn:aws:s3:::releases/web/app.zip","1f","3f","FULL"],["arn:aws:s3:::releases/docs","docs",null,null,true]]`)
	a.must("buildsDeleted", "batch-delete-builds", "--ids", made)

	hanging := start("hang.yml")
	a.is("a build that runs cannot be deleted", a.must("buildsNotDeleted[0].statusCode", "batch-delete-builds", "--ids", hanging), "BUILD_IN_PROGRESS")
	a.must("build.id", "stop-build", "--id", hanging)
	a.ended(hanging)
	a.is("a stop", a.must("builds[0].buildStatus", "batch-get-builds", "--ids", hanging), "STOPPED")
	a.is("a deletion", a.must("[buildsDeleted,buildsNotDeleted[0].statusCode]", "batch-delete-builds", "--ids", hanging, "web:nope"), `[["`+hanging+`"],"BUILD_NOT_FOUND"]`)
	a.is("those of a project, the oldest first", a.must("[length(ids),ids[6]]", "list-builds-for-project", "--project-name", "web", "--sort-order", "ASCENDING"), `[7,"`+again+`"]`)
	a.is("all", a.must("ids[0]", "list-builds"), again)

	one := a.must("build.id", "start-build", "--project-name", "web", "--idempotency-token", "t")
	a.is("the same request again", a.must("build.id", "start-build", "--project-name", "web", "--idempotency-token", "t"), one)
	a.is("overrides without a meaning here are told of", a.must("build.[environment.registryCredential.credential,source.buildStatusConfig.context]", "start-build", "--project-name", "web",
		"--registry-credential-override", "credential=c,credentialProvider=SECRETS_MANAGER", "--build-status-config-override", "context=ci"), `["c","ci"]`)
	operator := a.as(client.Operator)
	operator.must("build.id", "start-build", "--project-name", "web", "--environment-variables-override", "name=A,value=b")
	for want, c := range map[string]struct {
		aws
		args []string
	}{
		"(AccessDeniedException) when calling the StartBuild operation: User: arn:aws:iam::123456789012:user/" + keyID(client.Operator) + " is not authorized to perform: codebuild:StartBuild with buildspecOverride": {operator, []string{"start-build", "--project-name", "web", "--buildspec-override", "good.yml"}},
		"(AccessDeniedException) when calling the StartBuild operation":                {a.as(client.Viewer), []string{"start-build", "--project-name", "web"}},
		"(ResourceNotFoundException) when calling the StartBuild operation":            {a, []string{"start-build", "--project-name", "nope"}},
		"(InvalidInputException) when calling the StartBuild operation: project web":   {a, []string{"start-build", "--project-name", "web", "--environment-variables-override", "name=CODEBUILD_X,value=b"}},
		"(InvalidInputException) when calling the StartBuild operation: debugSession":  {a, []string{"start-build", "--project-name", "web", "--debug-session-enabled"}},
		"(ResourceNotFoundException) when calling the StopBuild operation":             {a, []string{"stop-build", "--id", "web:nope"}},
		"(ResourceNotFoundException) when calling the ListBuildsForProject operation":  {a, []string{"list-builds-for-project", "--project-name", "nope"}},
		"(InvalidInputException) when calling the ListBuilds operation: Invalid next ": {a, []string{"list-builds", "--starting-token", "x"}},
	} {
		if _, errs := c.run(c.args...); !strings.Contains(errs, want) {
			t.Errorf("%v: %s, want %s", c.args, errs, want)
		}
	}
}

// TestEveryOperationIsRouted compares the table with the API's own model.
func TestEveryOperationIsRouted(t *testing.T) {
	t.Parallel()
	api, err := codebuild.New(codebuild.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name := range api.Model.Operations {
		op, ok := api.Operations[name]
		if !ok || op.Needs == "" || op.Run == nil && op.Why == "" {
			t.Errorf("%s: %t %+v", name, ok, op)
		}
	}
	if len(api.Operations) != len(api.Model.Operations) {
		t.Errorf("%d operations, the model has %d", len(api.Operations), len(api.Model.Operations))
	}
}
