package definition_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/pipeline"
)

func example(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/web.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseCompilesTheExample(t *testing.T) {
	t.Parallel()
	got, err := definition.Parse(example(t), "web")
	if err != nil {
		t.Fatal(err)
	}
	typ := func(category pipeline.Category, provider string) pipeline.ActionType {
		return pipeline.ActionType{Category: category, Owner: "Towline", Provider: provider, Version: "1"}
	}
	build, source := typ("Build", "Buildspec"), []string{"source"}
	want := pipeline.Pipeline{
		Name: "web", Version: 1,
		On: pipeline.On{Push: []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{"main", "release/*"}}}}},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{{
				Name: "push", Type: typ("Source", "Git"), RunOrder: 1, Outputs: source, Configuration: json.RawMessage(`{"repository":"web"}`),
			}}},
			{Name: "Test", Actions: []pipeline.Action{
				{Name: "unit", Type: build, RunOrder: 1, Inputs: source, Outputs: []string{"unit"}, Configuration: json.RawMessage(`{"buildspec":"ci/test.yml","services":{"db":{"engine":"postgres"}}}`)},
				{Name: "lint", Type: build, RunOrder: 1, Inputs: source, Outputs: []string{"lint"}, Configuration: json.RawMessage(`{"commands":["make lint"],"timeout":"5m"}`)},
			}},
			{Name: "Package", Actions: []pipeline.Action{
				{Name: "binary", Type: build, RunOrder: 1, Inputs: source, Outputs: []string{"app"}, Configuration: json.RawMessage(`{"buildspec":"buildspec.yml"}`)},
			}},
			{Name: "Image", Actions: []pipeline.Action{{
				Name: "image", Type: typ("Build", "Image"), RunOrder: 1, Inputs: []string{"app"},
				Configuration: json.RawMessage(`{"repository":"web","artifact":"app","base":"scratch","entrypoint":["/app/web"],"ports":[8080]}`),
			}}},
			{Name: "Deploy", Actions: []pipeline.Action{{
				Name: "production", Type: typ("Deploy", "Kubernetes"), RunOrder: 1, Inputs: source,
				Configuration: json.RawMessage(`{"namespace":"web","manifests":"k8s/","images":{"web":"#{image.ImageURI}"},"strategy":"rolling","verify":{"path":"/healthz","rate":100}}`),
			}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pipeline (-want +got):\n%s", diff)
	}
}

func TestParseNamesWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	const head = "pipeline: web\nstages:\n"
	const test = head + "  - name: Test\n    actions:\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":                      {"", `towline.yaml:1:1: the file is empty; begin with "pipeline: NAME"`},
		"only a comment":             {"# hello\n", "the file is empty"},
		"not YAML":                   {"pipeline: [web\n", "towline.yaml:1:"},
		"a tab":                      {"pipeline: web\nstages:\n\t- name: x\n", "towline.yaml:3:1: found character"},
		"a list for the whole":       {"- a\n", "towline.yaml:1:1: the file must be a mapping of pipeline, mode, variables, on, stages, aws, not a list"},
		"a misspelt key":             {"pipeline: web\nstagse: []\n", `towline.yaml:2:1: unknown key "stagse"; did you mean "stages"?`},
		"a misspelt key further in":  {test + "      - name: a\n        biuld: {}\n", `towline.yaml:6:9: unknown key "biuld" in stages[0].actions[0]; did you mean "build"?`},
		"an unknown key":             {"pipeline: web\ncolour: red\n", `unknown key "colour"; keys here are pipeline, mode, variables, on, stages, aws`},
		"a number for a string":      {"pipeline: 7\nstages: []\n", `towline.yaml:1:11: pipeline must be a string, not a number; write it in quotes: "7"`},
		"text for a list":            {"pipeline: web\nstages: Test\n", "towline.yaml:2:9: stages must be a list, not text"},
		"a key without value":        {"pipeline: web\nstages:\n", "stages has no value"},
		"no stages":                  {"pipeline: web\nstages: []\n", "towline.yaml:2:9: the pipeline has no stages"},
		"no name":                    {test + "      - {name: a, build: {}}\n", `the pipeline has no name`},
		"a bad name":                 {strings.Replace(test, "web", "Web Site", 1) + "      - {name: a, build: {}}\n", `towline.yaml:1:11: "Web Site" is not the name of a pipeline`},
		"two kinds in one action":    {test + "      - {name: a, build: {}, deploy: {}}\n", `action "a" does build and deploy at once`},
		"no kind in an action":       {test + "      - {name: a}\n", `towline.yaml:5:9: action "a" does not say what it does; add one of build, image, deploy`},
		"an action twice":            {test + "      - {name: a, build: {}}\n      - {name: a, build: {}}\n", `towline.yaml:6:16: the name of action "a" is taken`},
		"the source stage":           {head + "  - {name: Source, actions: [{name: a, build: {}}]}\n", "the Source stage comes by itself, unless its actions are sources"},
		"an unknown artifact":        {test + "      - {name: a, build: {}, inputs: [app]}\n", `towline.yaml:5:39: action "a" of stage "Test" takes artifact "app", which nothing makes; the artifacts there are: source`},
		"an artifact made twice":     {test + "      - {name: a, build: {}, outputs: [source]}\n", `towline.yaml:5:40: action "a" of stage "Test" makes artifact "source", which action "push" of stage "Source" makes too`},
		"an unknown variable":        {test + "      - {name: a, deploy: {images: {web: '#{image.ImageURI}'}}}\n", "#{image.ImageURI} refers to no earlier action; earlier actions are push"},
		"a bad duration":             {test + "      - {name: a, build: {timeout: 5 minutes}}\n", `towline.yaml:5:36: "5 minutes" is not a duration; write it like`},
		"an unknown database":        {test + "      - {name: a, build: {services: {db: {engine: oracle}}}}\n", `service "db" asks for engine "oracle"; the engines are postgres, mysql, mariadb, redis`},
		"an unknown strategy":        {test + "      - {name: a, deploy: {strategy: yolo}}\n", `unknown strategy "yolo"`},
		"a knob of another strategy": {test + "      - {name: a, deploy: {cutover: union}}\n", "towline.yaml:5:37: strategy rolling has no cutover; leave it out, or set strategy: immutable or blue-green"},
		"a check that asks nothing":  {test + "      - name: a\n        deploy:\n          checks: {after: [{timeout: 5s}]}\n", "towline.yaml:7:28: the check asks nothing; add one of http, job, prometheus"},
		"a limit that is no number":  {test + "      - {name: a, deploy: {checks: {after: [{prometheus: {min: few}}]}}}\n", "stages[0].actions[0].deploy.checks.after[0].prometheus.min must be a number, not text"},
		"a second document":          {"pipeline: web\n---\npipeline: b\n", "a second document begins"},
		"a key twice":                {"pipeline: web\npipeline: b\n", `towline.yaml:2:1: mapping key "pipeline" already defined`},
		"an alias within an anchor":  {"pipeline: &a web\nstages: &b\n  - name: *a\n    actions: []\n", "an alias stands inside an anchor"},
		"a file that is far too big": {"#" + strings.Repeat("x", 300<<10), "the most is 262144"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(name, "no name") {
				c.text = strings.Replace(c.text, "pipeline: web\n", "", 1)
			}
			_, err := definition.Parse([]byte(c.text), "web")
			var problems definition.Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestParseNamesEachProblemInOrder(t *testing.T) {
	t.Parallel()
	_, err := definition.Parse([]byte("stagse: []\npipelin: web\n"), "web")
	want := "towline.yaml:1:1: unknown key \"stagse\"; did you mean \"stages\"?\ntowline.yaml:2:1: unknown key \"pipelin\"; did you mean \"pipeline\"?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestSchemaAgreesWithParse(t *testing.T) {
	t.Parallel()
	text, err := definition.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(definition.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(definition.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text string) error {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	whole, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{string(example(t)), string(whole), "pipeline: web\non: {}\nstages: []"} {
		if err := validate(good); err != nil {
			t.Errorf("%.40q: %v", good, err)
		}
	}
	for _, bad := range []string{"pipeline: web\nstagse: []", "pipeline: web", "pipeline: [1]\nstages: []", "pipeline: a\nstages: [{name: x, actions: [{name: a, build: {services: {d: {engine: oracle}}}}]}]",
		"pipeline: a\nmode: odd\nstages: []", "pipeline: a\non: {push: main}\nstages: []", "pipeline: a\non: {pullRequest: [{events: [merged]}]}\nstages: []",
		"pipeline: a\nvariables: {a: {defaul: x}}\nstages: []", "pipeline: a\nstages: [{name: x, actions: [{name: a, timeout: []}]}]",
		"pipeline: a\nstages: [{name: x, actions: [], onFailure: undo}]", "pipeline: a\nstages: [{name: x, actions: [], onFailure: {rules: [{varible: {}}]}}]",
	} {
		if validate(bad) == nil {
			t.Errorf("the schema takes %q", bad)
		}
	}
}

// TestAliasesCannotGrowWithoutBound repeats one large value so often that the
// file, written out, would have half a gigabyte.
func TestAliasesCannotGrowWithoutBound(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("pipeline: web\nstages:\n  - name: S\n    actions:\n      - {name: a, build: {commands: &c [\"" + strings.Repeat("x", 100<<10) + "\"]}}\n")
	for i := range 3000 {
		fmt.Fprintf(&text, "      - {name: b%d, build: {commands: *c}}\n", i)
	}
	_, err := definition.Parse([]byte(text.String()), "web")
	if err == nil || !strings.Contains(err.Error(), "aliases") {
		t.Errorf("got %.200v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example(f))
	f.Add([]byte("pipeline: &a web\n<<: *a\nstages: [*a]"))
	f.Add([]byte("? [a]\n: b"))
	whole, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("pipeline: web\non: {schedule: [{cron: 0 0 30 2 *}], push: [{branches: ['!a', \\!b]}]}\nvariables: {a: b, c: {}}\nstages: [{name: A, parallel: true, actions: [{name: a, build: {}, aws: {x: [1, 2.5, null, {y: on}]}}, {name: b, action: {category: Test, provider: P, configuration: {}}}], onFailure: {}}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := definition.Parse(text, "web")
		var problems definition.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Errorf("error without a place: %v", err)
		}
		if err != nil {
			return
		}
		if p.Name == "" || len(p.Stages) < 2 {
			t.Errorf("accepted %q as %+v", text, p)
		}
		written, err := definition.Format(p)
		if err != nil {
			t.Fatalf("accepted %q, but: %v", text, err)
		}
		again, err := definition.Parse(written, "web")
		if err != nil {
			t.Fatalf("%q became %q: %v", text, written, err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("%q became %q (-first +again):\n%s", text, written, diff)
		}
	})
}
