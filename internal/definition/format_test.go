package definition_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/towline/towline/internal/codepipeline"
	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/pipeline"
)

// TestFormatIsTheInverseOfParse walks pipelines as CodePipeline could have
// them, with names, texts and members that no towline.yaml began with.
func TestFormatIsTheInverseOfParse(outer *testing.T) {
	outer.Parallel()
	rapid.Check(outer, func(t *rapid.T) {
		p := pipelines(t)
		text, err := definition.Format(p)
		if err != nil {
			t.Fatalf("%+v\n%v", p, err)
		}
		got, err := definition.Parse(text, "web")
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if diff := cmp.Diff(meaning(outer, p), meaning(outer, got)); diff != "" {
			t.Fatalf("%s\n(-want +got)\n%s", text, diff)
		}
		again, err := definition.Format(got)
		if err != nil || string(again) != string(text) {
			t.Fatalf("written again, it is\n%s\n%v", again, err)
		}
	})
}

// meaning is a pipeline as the API would show it: what is empty makes no
// difference, and neither does the order of members.
func meaning(t testing.TB, p pipeline.Pipeline) any {
	text, err := json.Marshal(p)
	var value any
	if err == nil {
		err = json.Unmarshal(text, &value)
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestFormatRefusesWhatTheFileCannotSay(t *testing.T) {
	t.Parallel()
	good := parse(t, "pipeline: web\n"+build)
	for name, c := range map[string]struct {
		spoil func(p *pipeline.Pipeline)
		want  string
	}{
		"a mode":           {func(p *pipeline.Pipeline) { p.Mode = "ODD" }, "there is no execution mode ODD"},
		"a result":         {func(p *pipeline.Pipeline) { p.Stages[1].BeforeEntry = &pipeline.Condition{Result: "ODD"} }, "stage Test: a condition of this kind has no result ODD"},
		"a name":           {func(p *pipeline.Pipeline) { p.Stages[1].Name = "a/b" }, `"a/b" is not the name of a stage`},
		"an unknown input": {func(p *pipeline.Pipeline) { p.Stages[1].Actions[0].Inputs = []string{"x"} }, `takes artifact "x", which nothing makes`},
		"no stages":        {func(p *pipeline.Pipeline) { p.Stages = nil }, "the pipeline has no stages"},
		"a run order of 0": {func(p *pipeline.Pipeline) { p.Stages[1].Actions[0].RunOrder = 0 }, "read again it would be another one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := good
			p.Stages = slices.Clone(p.Stages)
			p.Stages[1].Actions = slices.Clone(p.Stages[1].Actions)
			c.spoil(&p)
			text, err := definition.Format(p)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s, %v; want %s", text, err, c.want)
			}
		})
	}
}

func TestFormatWritesWhatAPersonWould(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`pipeline: web
stages:
  - name: Test
    actions:
      - name: unit
        build: {commands: [make test]}
`, `pipeline: web
mode: queued
variables:
  environment: staging
  ticket: {}
on:
  push: {branches: [main, "!wip/*"]}
  schedule: {cron: "0 6 * * 1-5", timeZone: Europe/Berlin}
stages:
  - name: Test
    parallel: true
    actions:
      - name: unit
        build:
          commands:
            - |
              set -e
              make test
          services: {db: {engine: postgres}}
      - name: lint
        timeout: 20m
        build: {buildspec: ci/lint.yml}
    onFailure: retry
  - name: Image
    actions:
      - name: image
        image: {repository: web, entrypoint: [/app/web]}
  - name: Deploy
    beforeEntry:
      rules:
        - {variable: {name: "#{variables.environment}", value: production}}
    actions:
      - name: go-ahead
        approve: {message: "Release #{image.ImageURI}?"}
      - name: production
        deploy: {images: {web: "#{image.ImageURI}"}, strategy: blue-green}
    onFailure: rollback
aws:
  roleArn: "arn:aws:iam::111111111111:role/pipeline"
`,
	} {
		got, err := definition.Format(parse(t, text))
		if diff := cmp.Diff(text, string(got)); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
}

// TestPipelinesOfAWSAreWrittenWhole brings definitions in AWS's forms over to a
// towline.yaml and back.
func TestPipelinesOfAWSAreWrittenWhole(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(text []byte) (pipeline.Pipeline, error){
		"testdata/pipeline.json": func(text []byte) (pipeline.Pipeline, error) {
			document, err := codepipeline.Parse(text)
			return document.Pipeline, err
		},
		"testdata/import.yaml": imported, "stack/testdata/aws.yaml": imported, "stack/testdata/towline.yaml": imported,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("../codepipeline/" + name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := read(text)
			if err != nil {
				t.Fatal(err)
			}
			written, err := definition.Format(p)
			if err != nil {
				t.Fatal(err)
			}
			got := parse(t, string(written))
			got.Version = p.Version
			if diff := cmp.Diff(declared(t, p), declared(t, got)); diff != "" {
				t.Errorf("%s\n(-want +got)\n%s", written, diff)
			}
		})
	}
}

func imported(text []byte) (pipeline.Pipeline, error) {
	found, err := codepipeline.Import(text, codepipeline.ImportOptions{})
	return found.Pipeline, err
}

func declared(t *testing.T, p pipeline.Pipeline) string {
	t.Helper()
	text, err := codepipeline.Declaration(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
