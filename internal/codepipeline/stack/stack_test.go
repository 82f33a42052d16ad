package stack_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/codepipeline"
	"github.com/towline/towline/internal/codepipeline/stack"
	"github.com/towline/towline/internal/pipeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

func own(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: "Towline", Provider: provider, Version: "1"}
}

func aws(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: "AWS", Provider: provider, Version: "1"}
}

// towline is what towline.yaml makes of a pipeline that uses all of Towline's
// own actions.
func towline() pipeline.Pipeline {
	return pipeline.Pipeline{
		Name: "web", Version: 1, Mode: pipeline.ModeQueued,
		On: pipeline.On{
			Push:     []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{"release/*", "trunk"}}}, {Tags: &pipeline.Globs{Includes: []string{"v*"}}}},
			Schedule: []pipeline.Schedule{{Cron: "30 6 * * 1-5", TimeZone: "Europe/Berlin"}, {Cron: "0 0 13 * 5"}},
		},
		Variables: []pipeline.Variable{{Name: "ticket", Description: "why"}},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{
				{Name: "push", Type: own("Source", "Git"), RunOrder: 1, Outputs: []string{"source"}, Configuration: json.RawMessage(`{"repository":"web"}`)},
				{Name: "charts", Type: own("Source", "Git"), RunOrder: 1, Outputs: []string{"charts"}, Configuration: json.RawMessage(`{"url":"https://github.com/acme/charts.git","branch":"stable"}`)},
				{Name: "base", Type: own("Source", "Image"), RunOrder: 1, Outputs: []string{"base"}, Configuration: json.RawMessage(`{"image":"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/base:17"}`)},
			}},
			{Name: "Test", Actions: []pipeline.Action{
				{
					Name: "unit", Type: own("Build", "Buildspec"), RunOrder: 1, Inputs: []string{"source", "charts"}, Outputs: []string{"unit"},
					Configuration: json.RawMessage(`{"commands":["make test TICKET=#{variables.ticket}","echo ${HOME} \"$COMMIT\" \"#{variables.ticket}\"","echo '#{variables.ticket}'"],"reports":["report.xml"],"services":{"db":{"engine":"postgres"}},"env":{"COMMIT":"#{push.CommitId}","LEVEL":"3"},"timeout":"90s"}`),
				},
				{Name: "app", Type: own("Build", "Buildspec"), RunOrder: 2, Inputs: []string{"source"}, Outputs: []string{"app"}, Configuration: json.RawMessage(`{"buildspec":"ci/app.yml"}`)},
			}, OnFailure: &pipeline.Condition{Result: pipeline.ResultRetry, RetryMode: pipeline.RetryFailedActions}},
			{Name: "Image", Actions: []pipeline.Action{{
				Name: "image", Type: own("Build", "Image"), RunOrder: 1, Inputs: []string{"app"},
				Configuration: json.RawMessage(`{"repository":"web","artifact":"app","base":"eclipse-temurin:17-jre","entrypoint":["java","-jar","/app/it's.jar"],"env":{"A":"b c"},"ports":[8080],"user":"1000"}`),
			}}},
			{Name: "Deploy", Actions: []pipeline.Action{
				{Name: "go-ahead", Type: aws("Approval", "Manual"), RunOrder: 1, Configuration: json.RawMessage(`{"CustomData":"Release #{image.ImageURI}?"}`)},
				{
					Name: "production", Type: own("Deploy", "Kubernetes"), RunOrder: 2, Inputs: []string{"source"},
					Configuration: json.RawMessage(`{"cluster":"production","namespace":"web","manifests":"k8s/","images":{"web":"#{image.ImageURI}"},"strategy":"blue-green","verify":{"path":"/healthz","rate":100},"timeout":"15m"}`),
				},
			}, BeforeEntry: &pipeline.Condition{Rules: []pipeline.Rule{{Name: "window", Type: aws("Rule", "DeploymentWindow"), Configuration: json.RawMessage(`{"Cron":"0 * 9-17 ? * MON-FRI","TimeZone":"UTC"}`)}}}},
		},
	}
}

func fromAWS(t *testing.T) pipeline.Pipeline {
	t.Helper()
	text, err := os.ReadFile("../testdata/pipeline.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := codepipeline.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d.Pipeline
}

func imported(t *testing.T) pipeline.Pipeline {
	t.Helper()
	text, err := os.ReadFile("../testdata/import.yaml")
	if err != nil {
		t.Fatal(err)
	}
	i, err := codepipeline.Import(text, codepipeline.ImportOptions{Parameters: map[string]string{
		"Connection": "arn:aws:codeconnections:eu-west-1:123456789012:connection/1", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return i.Pipeline
}

// TestTemplatesAreWhatCloudFormationWants compares with templates that cfn-lint
// has found nothing wrong with, and asks cfn-lint where it is.
func TestTemplatesAreWhatCloudFormationWants(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]pipeline.Pipeline{"towline": towline(), "aws": fromAWS(t), "imported": imported(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, leftovers, err := stack.Export(p)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("template (-want +got), to be written anew with -update once cfn-lint takes it:\n%s", diff)
			}
			var lines []string
			for i, l := range leftovers {
				line := l.String()
				if wants := wantLeftovers[name]; i < len(wants) {
					line = line[:min(len(line), len(wants[i]))] // others say the rest
				}
				lines = append(lines, line)
			}
			if diff := cmp.Diff(wantLeftovers[name], lines); diff != "" {
				t.Errorf("leftovers (-want +got):\n%s", diff)
			}
			lint(t, got)
		})
	}
}

var wantLeftovers = map[string][]string{
	"towline": {
		"stages[1].actions[0].commands[2]: CodePipeline fills in no variables in a buildspec: give it to the command by env",
		"stages[1].actions[0].services.db: CodeBuild starts no postgres for a build: start one in the buildspec, or give it one by DATABASE_URL",
		`on.schedule[1]: EventBridge cannot say "0 0 13 * 5": both the day of the month (13) and the day of the week (5) are restricted`,
	},
	"aws": {"stages[2].onSuccess.rules[0].timeoutInMinutes: rules of templates have no timeout"},
}

// lint asks the real cfn-lint. It is no package of Debian's: without it the
// golden files, which it has seen, have to do.
func lint(t *testing.T, template []byte) {
	t.Helper()
	program, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Log("cfn-lint is not here (pip install cfn-lint): the template was compared with the golden file alone")
		return
	}
	file := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(file, template, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "--include-checks", "W", "--format", "parseable", "--regions", "eu-west-1", "--", file).CombinedOutput()
	if err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, strings.ReplaceAll(string(out), file, "template.yaml"))
	}
}
