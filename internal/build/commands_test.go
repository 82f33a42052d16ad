package build_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

// values are secrets by their names.
type values map[string]string

func (v values) Secret(_ context.Context, want build.SecretRef) (string, error) {
	return v[want.Name], nil
}

func TestCommandsAreABuild(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{"a.txt": "source"}, pipeline.Build{})
	o.Job.Action.Outputs = []string{"app", "docs"}
	o.Job.Configuration = json.RawMessage(`{
		"commands": ["cat a.txt", "echo $STAGE $TOKEN", "VERSION=$(expr 40 + 2)", "mkdir out && echo x > out/x && echo y > y.md"],
		"outputVariables": ["VERSION"],
		"environmentVariables": [{"name": "STAGE", "value": "dev: 'quoted'"}, {"name": "TOKEN", "value": "web/token", "type": "SECRETS_MANAGER"}],
		"files": {"app": ["out/**"], "docs": ["*.md"]}}`)
	result := commands(t, o, values{"web/token": "hidden-value"})
	if result.Outcome != pipeline.Succeeded || len(result.Artifacts) != 2 {
		t.Fatalf("%+v\n%s", result, logOf(t, o))
	}
	got := map[string]map[string]string{}
	for _, a := range result.Artifacts {
		got[a.Name] = contents(t, o.Store, a)
	}
	want := map[string]map[string]string{"app": {"out/x": "x\n"}, "docs": {"y.md": "y\n"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"VERSION": "42"}, result.Variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if log := logOf(t, o); !strings.Contains(log, "\nsource\n") || !strings.Contains(log, "\ndev: 'quoted' ***\n") || strings.Contains(log, "hidden-value") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestCommandsFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ configuration, want string }{
		"when one fails":                    {`{"commands": ["true", "exit 7", "touch never"]}`, "exit code 7"},
		"when there are none":               {`{}`, "list them under commands"},
		"when an output has no files":       {`{"commands": ["true"], "files": {"other": ["*"]}}`, "the output artifact app has no files"},
		"when a variable's type is unknown": {`{"commands": ["true"], "environmentVariables": [{"name": "A", "value": "b", "type": "PARAMETER_STORE"}]}`, `A has the type "PARAMETER_STORE"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, nil, pipeline.Build{})
			o.Job.Action.Outputs = nil
			if strings.Contains(c.want, "output") {
				o.Job.Action.Outputs = []string{"app"}
			}
			o.Job.Configuration = json.RawMessage(c.configuration)
			result := commands(t, o, nil)
			if result.Outcome != pipeline.Failed || !strings.Contains(result.Message, c.want) {
				t.Errorf("%+v, want %q", result, c.want)
			}
		})
	}
}

// commands runs the job of an order as Commands.
func commands(t *testing.T, o order, secrets build.Secrets) pipeline.Result {
	t.Helper()
	result, err := o.with(t.Context(), func(action build.Action, job pipeline.Job) (pipeline.Result, error) {
		action.Secrets = secrets
		return build.Commands{Action: action}.Run(t.Context(), job)
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}
