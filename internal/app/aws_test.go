package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
	from "github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// codeOf is AWS's word for an error, "" for none, or the error.
func codeOf(err error) string {
	fault, isFault := errors.AsType[*wire.Fault](err)
	problems, isProblems := errors.AsType[pipeline.Problems](err)
	switch {
	case err == nil:
		return ""
	case isFault:
		return fault.Code
	case isProblems:
		return string(problems.Exception())
	case errors.Is(err, store.ErrNotFound):
		return "not found"
	}
	return err.Error()
}

// declared is a pipeline in AWS's form; its test takes that artifact.
func declared(name, input string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"name": %q, "roleArn": "arn:aws:iam::123456789012:role/web", "artifactStore": {"type": "S3", "location": "web"}, "pipelineType": "V2", "executionMode": "QUEUED", "stages": [
		{"name": "Source", "actions": [{"name": "push", "actionTypeId": {"category": "Source", "owner": "Towline", "provider": "Git", "version": "1"}, "configuration": {"repository": "shop"}, "outputArtifacts": [{"name": "source"}]}]},
		{"name": "Test", "actions": [{"name": "unit", "actionTypeId": {"category": "Build", "owner": "Towline", "provider": "Buildspec", "version": "1"}, "inputArtifacts": [{"name": %q}]}]}]}`, name, input))
}

func TestPipelinesInAWSsForm(t *testing.T) {
	t.Parallel()
	c, _ := clustersOf(t)
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	d := awsDefinitions{store: c.store, now: func() time.Time { return now }}
	ctx := t.Context()
	err := c.store.Update(ctx, func(q store.Querier) error {
		return store.PutPipeline(ctx, q, pipeline.Pipeline{Name: "web", Stages: []pipeline.Stage{{Name: "Test"}}}, "web", now)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"a declaration that makes no sense", func() error { _, err := d.Create(ctx, declared("shop", "nobody-made-it")); return err }, "InvalidActionDeclarationException"},
		{"a new name", func() error { _, err := d.Create(ctx, declared("shop", "source")); return err }, ""},
		{"a name that is taken", func() error { _, err := d.Create(ctx, declared("shop", "source")); return err }, "PipelineNameInUseException"},
		{"a name of a repository's pipeline", func() error { _, err := d.Create(ctx, declared("web", "source")); return err }, "PipelineNameInUseException"},
		{"a change of a repository's pipeline", func() error { _, err := d.Update(ctx, declared("web", "source")); return err }, "InvalidStructureException"},
		{"a change of what is not there", func() error { _, err := d.Update(ctx, declared("nope", "source")); return err }, "not found"},
		{"a change", func() error {
			text := strings.Replace(string(declared("shop", "source")), "QUEUED", "PARALLEL", 1)
			changed, err := d.Update(ctx, json.RawMessage(text))
			if err == nil && (changed.Version != 2 || changed.ExecutionMode != "PARALLEL") {
				err = fmt.Errorf("changed %+v", changed.Summary)
			}
			return err
		}, ""},
		{"the version before it", func() error {
			old, err := d.Get(ctx, "shop", 1)
			if err == nil && (!strings.Contains(string(old.Declaration), "QUEUED") || old.Version != 1) {
				err = fmt.Errorf("got %s", old.Declaration)
			}
			return err
		}, ""},
		{"a version that never was", func() error { _, err := d.Get(ctx, "shop", 3); return err }, "PipelineVersionNotFoundException"},
		{"both by name", func() error {
			all, err := d.List(ctx, "", 10)
			rest, _ := d.List(ctx, "shop", 10)
			if err == nil && (len(all) != 2 || all[0].Name != "shop" || len(rest) != 1 || rest[0].Name != "web" || rest[0].ExecutionMode != "SUPERSEDED") {
				err = fmt.Errorf("listed %+v, then %+v", all, rest)
			}
			return err
		}, ""},
		{"an end while something runs", func() error {
			return errors.Join(c.store.Update(ctx, func(q store.Querier) error {
				return store.SaveExecution(ctx, q, pipeline.Execution{ID: "shop-1", Pipeline: "shop", Number: 1, Status: pipeline.ExecutionInProgress})
			}), d.Delete(ctx, "shop"))
		}, "ConcurrentModificationException"},
		{"an end", func() error {
			return errors.Join(c.store.Update(ctx, func(q store.Querier) error {
				return store.SaveExecution(ctx, q, pipeline.Execution{ID: "shop-1", Pipeline: "shop", Number: 1, Status: pipeline.ExecutionStopped})
			}), d.Delete(ctx, "shop"))
		}, ""},
		{"what has ended", func() error { _, err := d.Get(ctx, "shop", 0); return err }, "not found"},
		{"an end of what has ended", func() error { return d.Delete(ctx, "shop") }, "not found"},
	} {
		if got := codeOf(step.do()); got != step.want {
			t.Errorf("%s: %s, want %q", step.name, got, step.want)
		}
	}
}

func TestWhatIsStartedWhenNobodySaysWhich(t *testing.T) {
	t.Parallel()
	source := func(name, configuration string) pipeline.Action {
		return pipeline.Action{Name: name, Type: pipeline.ActionType{Category: pipeline.CategorySource, Provider: "Git"}, Configuration: json.RawMessage(configuration)}
	}
	object := source("push", `{"S3Bucket": "releases", "S3ObjectKey": "web.zip"}`)
	object.Type.Provider = "S3"
	defined := func(repository string, on pipeline.On, actions ...pipeline.Action) store.Definition {
		return store.Definition{Repository: repository, Pipeline: pipeline.Pipeline{Name: "web", On: on, Stages: []pipeline.Stage{{Name: "Source", Actions: actions}}}}
	}
	watching := pipeline.On{Push: []pipeline.PushFilter{{Tags: &pipeline.Globs{Includes: []string{"v*"}}}, {Branches: &pipeline.Globs{Includes: []string{"feature/*", "release"}}}}}
	mirror := from.MirrorName("https://example.com/x")
	commit := func(action string) []pipeline.Override {
		return []pipeline.Override{{Action: action, Type: "COMMIT_ID", Value: "3f9c2e1"}}
	}
	for name, c := range map[string]struct {
		definition      store.Definition
		overrides       []pipeline.Override
		repository, ref string
		code            string
	}{
		"the main branch of its repository": {defined("web", pipeline.On{}), nil, "web", "refs/heads/main", ""},
		"the branch that it watches":        {defined("web", watching), nil, "web", "refs/heads/release", ""},
		"the repository of its source":      {defined("", pipeline.On{}, source("push", `{"repository": "shop"}`)), nil, "shop", "refs/heads/main", ""},
		"the commit that is named":          {defined("", watching, source("push", `{"repository": "shop"}`)), commit("push"), "shop", "3f9c2e1", ""},
		"a source that is not there":        {defined("web", pipeline.On{}, source("push", `{}`)), commit("pull"), "", "", "no source action"},
		"no repository":                     {defined("", pipeline.On{}, source("push", `{}`)), nil, "", "", "nothing to start with"},
		"a mirror of an address":            {defined("web", pipeline.On{}, source("push", `{"url": "https://example.com/x", "branch": "next"}`)), nil, mirror, "refs/heads/next", ""},
		"an object":                         {defined("", pipeline.On{}, object), nil, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository, ref, err := wanted(c.definition, c.overrides)
			if repository != c.repository || ref != c.ref || (err == nil) != (c.code == "") || err != nil && !strings.Contains(err.Error(), c.code) {
				t.Errorf("got %q %q %v", repository, ref, err)
			}
		})
	}
}
