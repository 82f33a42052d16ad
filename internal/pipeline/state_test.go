package pipeline_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func TestVariablesOfAnExecution(t *testing.T) {
	t.Parallel()
	ran := func(name, value string) pipeline.ActionState {
		return pipeline.ActionState{Name: name, Result: &pipeline.Result{Outcome: pipeline.Succeeded, Variables: map[string]string{"V": value}}}
	}
	e := pipeline.Execution{
		ID: "web-2", Given: map[string]string{"target": "staging"},
		Inherited: &pipeline.Inherited{Variables: map[string]map[string]string{"push": {"CommitId": "3f9c2e1"}, "codepipeline": {"PipelineExecutionId": "web-1"}}},
		Definition: pipeline.Pipeline{Stages: []pipeline.Stage{{Name: "Build", Actions: []pipeline.Action{
			{Name: "app", Namespace: "Packaged"}, {Name: "Packaged"}, {Name: "never"},
		}}}},
		Stages: []pipeline.StageState{{Name: "Build", Actions: []pipeline.ActionState{ran("app", "by namespace"), ran("Packaged", "by name"), {Name: "never"}}}},
	}
	want := map[string]map[string]string{
		"push": {"CommitId": "3f9c2e1"}, "codepipeline": {"PipelineExecutionId": "web-2"}, "variables": {"target": "staging"},
		"Packaged": {"V": "by namespace"},
	}
	if diff := cmp.Diff(want, e.Variables()); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

func TestConfigurationOfASourceWithOverrides(t *testing.T) {
	t.Parallel()
	e := pipeline.Execution{ID: "web-2", Overrides: []pipeline.Override{
		{Action: "base", Type: pipeline.OverrideImage, Value: "sha256:9b1c"}, {Action: "push", Type: pipeline.OverrideCommit, Value: "3f9c2e1"},
	}}
	for name, want := range map[string]string{
		"base":  `{"ImageDigest":"sha256:9b1c","image":"web-2"}`,
		"push":  `{"image":"web-2"}`,
		"other": `{"image":"web-2"}`,
	} {
		got, err := e.Configuration(pipeline.Action{Name: name, Configuration: json.RawMessage(`{"image":"#{codepipeline.PipelineExecutionId}"}`)})
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
