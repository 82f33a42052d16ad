package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/codepipeline"
	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/pipeline"
)

// towlineCommand runs a command line and returns what it printed.
func towlineCommand(t *testing.T, in string, args ...string) (code int, out, talk string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Main(t.Context(), Invocation{Args: args, In: strings.NewReader(in), Out: &stdout, Err: &stderr, Version: "test"})
	return code, stdout.String(), stderr.String()
}

func mustConvert(t *testing.T, in string, args ...string) (out, talk string) {
	t.Helper()
	code, out, talk := towlineCommand(t, in, append([]string{"pipeline", "convert"}, args...)...)
	if code != exitOK {
		t.Fatalf("convert %v ended with %d:\n%s", args, code, talk)
	}
	return out, talk
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// declared is the definition in AWS's JSON, as a value to compare.
func declared(t *testing.T, text string) map[string]any {
	t.Helper()
	d, err := codepipeline.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	// A towline.yaml has no version and no times.
	d.Pipeline.Version, d.Bare = 0, true
	again, err := d.Format()
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(again, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestConvertCarriesAWSsJSONToTowlineAndBack(t *testing.T) {
	t.Parallel()
	const file = "../codepipeline/testdata/pipeline.json"
	yaml, talk := mustConvert(t, "", file)
	for _, want := range []string{"pipeline: web\n", "mode: queued\n", "approve:", "provider: EKS", `roleArn: "arn:aws:iam::123456789012:role/pipeline"`} {
		if !strings.Contains(yaml, want) {
			t.Errorf("no %q in\n%s", want, yaml)
		}
	}
	for _, want := range []string{"Left out: it is no part of the definition:\n  metadata: Towline keeps its own times\n", "Kept without use, for the way back:\n  artifactStore: Towline keeps artifacts in its own store\n"} {
		if !strings.Contains(talk, want) {
			t.Errorf("no %q in\n%s", want, talk)
		}
	}
	back, _ := mustConvert(t, yaml, "-", "--to", "aws")
	if diff := cmp.Diff(declared(t, readFile(t, file)), declared(t, back)); diff != "" {
		t.Errorf("by way of\n%s\n(-want +got):\n%s", yaml, diff)
	}
}

func TestConvertCarriesExamplesToAWSsJSONAndBack(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*/towline.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %v (%v)", files, err)
	}
	whole, err := filepath.Glob("../definition/testdata/*.yaml")
	if err != nil || len(whole) == 0 {
		t.Fatalf("found %v (%v)", whole, err)
	}
	for _, file := range append(files, whole...) {
		want, err := definition.Parse([]byte(readFile(t, file)), "web")
		if err != nil {
			t.Fatal(err)
		}
		if problems := want.Check(); problems != nil {
			t.Errorf("%s is taken for wrong:\n%v", file, problems)
		}
		declaration, talk := mustConvert(t, "", "--repository", "web", file)
		if !strings.Contains(talk, "stages[0].actions[0].actionTypeId: Source/Git is a type of Towline's own") {
			t.Errorf("%s: it does not say what AWS would refuse:\n%s", file, talk)
		}
		yaml, _ := mustConvert(t, declaration, "-")
		got, err := definition.Parse([]byte(yaml), "web")
		if err != nil {
			t.Fatalf("%s becomes %s: %v", file, yaml, err)
		}
		if diff := cmp.Diff(asJSON(t, unnamed(want)), asJSON(t, unnamed(got))); diff != "" {
			t.Errorf("%s by way of\n%s\n(-want +got):\n%s", file, declaration, diff)
		}
		if strings.Contains(file, "web") && strings.Contains(yaml, "Source") {
			t.Errorf("%s: the stage that comes by itself is written out:\n%s", file, yaml)
		}
	}
}

// unnamed leaves the name of the first source out of the triggers, where it makes
// no difference.
func unnamed(p pipeline.Pipeline) pipeline.Pipeline {
	first := p.Stages[0].Actions[0].Name
	for i := range p.On.Push {
		if f := &p.On.Push[i]; f.Source == first {
			f.Source = ""
		}
	}
	for i := range p.On.PullRequest {
		if f := &p.On.PullRequest[i]; f.Source == first {
			f.Source = ""
		}
	}
	return p
}

func asJSON(t *testing.T, p pipeline.Pipeline) map[string]any {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestConvertReadsWhatTheAWSCommandPrintsInYAML(t *testing.T) {
	t.Parallel()
	text, err := yaml.JSONToYAML([]byte(readFile(t, "../codepipeline/testdata/pipeline.json")))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := mustConvert(t, "", "../codepipeline/testdata/pipeline.json")
	got, _ := mustConvert(t, string(text), "-")
	var docs [2]any
	for i, text := range []string{want, got} {
		if err := yaml.Unmarshal([]byte(text), &docs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(docs[0], docs[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConvertReadsATemplate(t *testing.T) {
	t.Parallel()
	const file = "../codepipeline/testdata/import.yaml"
	yaml, talk := mustConvert(t, "", file, "--parameter", "Stage=production", "--parameter", "AWS::Region=eu-west-1")
	for _, want := range []string{"pipeline: web-production\n", `ConnectionArn: "${Connection}"`, "Namespace: here"} {
		if !strings.Contains(yaml, want) {
			t.Errorf("no %q in\n%s", want, yaml)
		}
	}
	if want := "Not resolved:\n  line 33: Resources.Pipeline.Properties.RoleArn: !GetAtt Role.Arn: "; !strings.Contains(talk, want) {
		t.Errorf("no %q in\n%s", want, talk)
	}
	out, _ := mustConvert(t, "", file, "--parameter", "Stage=production", "-o", "json")
	var report struct {
		From, To, Text string
		Notes          []notes
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.From != formCloudFormation || report.To != formTowline || !strings.HasPrefix(report.Text, "pipeline: ") || len(report.Notes) != 2 {
		t.Errorf("got %v, %+v", err, report)
	}
}

func TestConvertWritesATemplate(t *testing.T) {
	t.Parallel()
	template, talk := mustConvert(t, "", "../../examples/go-web/towline.yaml", "--to", "cloudformation")
	for _, want := range []string{"Type: AWS::CodePipeline::Pipeline", "Type: AWS::CodeBuild::Project", "towline deploy --config"} {
		if !strings.Contains(template, want) {
			t.Errorf("no %q in\n%s", want, template)
		}
	}
	if want := "To look at before the stack is made:\n  stages[1].actions[0].services.db: CodeBuild starts no postgres"; !strings.Contains(talk, want) {
		t.Errorf("no %q in\n%s", want, talk)
	}
	// What comes out is a template that can be read again.
	yaml, _ := mustConvert(t, template, "-", "--parameter", "Connection=c", "--parameter", "Repository=acme/web")
	if !strings.HasPrefix(yaml, "pipeline: web\n") {
		t.Errorf("the template becomes\n%s", yaml)
	}
}

func TestConvertSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   string
		args []string
		code int
		want string
	}{
		"an unknown form":        {"", []string{"-", "--to", "xml"}, exitUsage, `there is no form "xml": choose towline, aws, cloudformation`},
		"the form that it has":   {"pipeline: a\n", []string{"-", "--to", "towline"}, exitUsage, "- is in form towline already"},
		"a bad parameter":        {"Resources: {}\n", []string{"-", "--parameter", "x"}, exitUsage, `--parameter "x": write NAME=VALUE`},
		"no file":                {"", []string{"testdata/nowhere.json"}, exitError, "testdata/nowhere.json: no such file"},
		"broken YAML of AWS":     {"pipeline:\n  name: [\n", []string{"-"}, exitError, "standard input: yaml: line"},
		"broken JSON":            {"{\n  \"pipeline\": {,}}", []string{"-"}, exitError, "standard input: line 2, column 16: this is not JSON"},
		"a broken towline.yaml":  {"pipelin: web\n", []string{"-"}, exitError, `towline.yaml:1:1: unknown key "pipelin"`},
		"a declaration of sorts": {`{"pipeline": {"name": "web", "stages": []}}`, []string{"-"}, exitError, "standard input: stages: the pipeline has 0 stages; the fewest is 2"},
		"an unknown parameter":   {"Resources: {P: {Type: AWS::CodePipeline::Pipeline, Properties: {}}}\n", []string{"-", "--parameter", "a=b"}, exitError, `standard input: the template has no parameter "a"`},
		"a name that only AWS knows": {
			"Resources:\n  P:\n    Type: AWS::CodePipeline::Pipeline\n    Properties: {Name: !Ref AWS::StackName, Stages: []}\n", []string{"-"}, exitError,
			"give those that matter with --parameter:\ntowline: error:   line 4: Resources.P.Properties.Name: !Ref AWS::StackName",
		},
		"far too much": {strings.Repeat("#", maxDefinition+1), []string{"-"}, exitError, "it has more than 4194304 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, talk := towlineCommand(t, c.in, append([]string{"pipeline", "convert"}, c.args...)...)
			if code != c.code || out != "" || !strings.Contains(talk, c.want) {
				t.Errorf("ended with %d and printed %q:\n%s\nwant %d:\n%s", code, out, talk, c.code, c.want)
			}
		})
	}
}
