package build

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

func TestEnvironmentIsCodeBuilds(t *testing.T) {
	t.Parallel()
	base := func() request {
		return request{
			job: pipeline.Job{
				Pipeline: "web", Execution: "web-7", Number: 7, Stage: "Test", Attempt: 2, Action: pipeline.Action{Name: "unit"},
				Revision: pipeline.Revision{Repository: "web", Branch: "main", Commit: "3f9c2e1"},
			},
			started: time.UnixMilli(1700000000123), account: Account{}.orDefault(),
		}
	}
	want := map[string]string{
		"CI":                                "true",
		"AWS_REGION":                        "us-east-1",
		"AWS_DEFAULT_REGION":                "us-east-1",
		"TOWLINE_PIPELINE":                  "web",
		"TOWLINE_EXECUTION":                 "web-7",
		"CODEBUILD_BUILD_ARN":               "arn:aws:codebuild:us-east-1:000000000000:build/web:web-7.Test.2.unit",
		"CODEBUILD_BUILD_ID":                "web:web-7.Test.2.unit",
		"CODEBUILD_BUILD_NUMBER":            "7",
		"CODEBUILD_BUILD_SUCCEEDING":        "1",
		"CODEBUILD_INITIATOR":               "codepipeline/web",
		"CODEBUILD_LOG_PATH":                "web-7.Test.2.unit",
		"CODEBUILD_RESOLVED_SOURCE_VERSION": "3f9c2e1",
		"CODEBUILD_SOURCE_VERSION":          "3f9c2e1",
		"CODEBUILD_SOURCE_REPO_URL":         "web",
		"CODEBUILD_START_TIME":              "1700000000123",
		"CODEBUILD_WEBHOOK_HEAD_REF":        "refs/heads/main",
		"CODEBUILD_WEBHOOK_TRIGGER":         "branch/main",
	}
	if diff := cmp.Diff(want, environment(base())); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	for name, c := range map[string]struct {
		change func(*request)
		want   map[string]string // "" is not there
	}{
		"of a tag": {func(r *request) { r.job.Revision.Tag = "v1" }, map[string]string{
			"CODEBUILD_WEBHOOK_HEAD_REF": "refs/tags/v1", "CODEBUILD_WEBHOOK_TRIGGER": "tag/v1",
		}},
		"of no branch": {func(r *request) { r.job.Revision.Branch = "" }, map[string]string{
			"CODEBUILD_WEBHOOK_HEAD_REF": "", "CODEBUILD_WEBHOOK_TRIGGER": "",
		}},
		"of a push": {func(r *request) {
			r.job.Trigger.Source = &pipeline.SourceChange{Event: pipeline.ChangePush, Head: "refs/heads/next", Previous: "a41b0c2"}
		}, map[string]string{
			"CODEBUILD_WEBHOOK_EVENT": "PUSH", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/next", "CODEBUILD_WEBHOOK_TRIGGER": "branch/next",
			"CODEBUILD_WEBHOOK_PREV_COMMIT": "a41b0c2", "CODEBUILD_WEBHOOK_BASE_REF": "",
		}},
		"of a pull request": {func(r *request) {
			r.job.Trigger.Source = &pipeline.SourceChange{Event: pipeline.ChangeMerged, Head: "refs/heads/fix", Base: "refs/heads/main", Request: 7, Actor: "583231", Merge: "9b1c0a2"}
		}, map[string]string{
			"CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_MERGED", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/fix", "CODEBUILD_WEBHOOK_TRIGGER": "pr/7",
			"CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main", "CODEBUILD_WEBHOOK_PREV_COMMIT": "",
			"CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "583231", "CODEBUILD_WEBHOOK_MERGE_COMMIT": "9b1c0a2",
		}},
		"of a batch": {func(r *request) { r.label = "unit" }, map[string]string{"CODEBUILD_BATCH_BUILD_IDENTIFIER": "unit"}},
		"of a Pod": {func(r *request) { r.config.Pod = &pipeline.Pod{Image: "ci:3"} }, map[string]string{
			"CODEBUILD_BUILD_IMAGE": "ci:3",
		}},
		"of an account": {func(r *request) { r.account = Account{Region: "eu-west-1", ID: "111122223333"} }, map[string]string{
			"AWS_REGION": "eu-west-1", "CODEBUILD_BUILD_ARN": "arn:aws:codebuild:eu-west-1:111122223333:build/web:web-7.Test.2.unit",
		}},
		"with the buildspec's own, but for what is reserved": {func(r *request) {
			r.spec.Env = buildspec.Env{Variables: map[string]string{"CI": "no", "AWS_REGION": "eu-west-1", "CODEBUILD_BUILD_ID": "mine", "CODEBUILD_OTHER": "x", "A": "b"}}
		}, map[string]string{"CI": "no", "AWS_REGION": "eu-west-1", "CODEBUILD_BUILD_ID": "web:web-7.Test.2.unit", "CODEBUILD_OTHER": "", "A": "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := base()
			c.change(&r)
			got := environment(r)
			for variable, value := range c.want {
				if got[variable] != value {
					t.Errorf("%s is %q, want %q", variable, got[variable], value)
				}
			}
		})
	}
}

func TestPhasesHaveCodeBuildsTransitions(t *testing.T) {
	t.Parallel()
	on := func(action string) buildspec.OnFailure { return buildspec.OnFailure{Action: action} }
	retry := buildspec.OnFailure{Action: buildspec.Retry, Times: 3, Match: "x"}
	spec := buildspec.Spec{RunAs: "me", Phases: []buildspec.Phase{
		{Name: "install"}, {Name: "install", OnFailure: on(buildspec.Continue)}, {Name: "install", OnFailure: retry},
		{Name: "build", RunAs: "you"}, {Name: "build", OnFailure: on(buildspec.Abort)}, {Name: "build", OnFailure: retry},
	}}
	want := []Phase{
		{Name: "install", RunAs: "me"}, {Name: "install", RunAs: "me", GoOn: true}, {Name: "install", RunAs: "me", Retries: 3, RetryIf: "x"},
		{Name: "build", RunAs: "you", GoOn: true}, {Name: "build", RunAs: "me"}, {Name: "build", RunAs: "me", GoOn: true, Retries: 3, RetryIf: "x"},
	}
	if diff := cmp.Diff(want, phases(spec)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}
