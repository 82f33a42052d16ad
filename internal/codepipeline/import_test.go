package codepipeline

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/codepipeline/template"
	"github.com/towline/towline/internal/pipeline"
)

func importFixture(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/import.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestImportResolvesWhatATemplateKnows(t *testing.T) {
	t.Parallel()
	got, err := Import(importFixture(t), ImportOptions{Parameters: map[string]string{"Stage": "production", "Connection": "arn:c"}})
	if err != nil {
		t.Fatal(err)
	}
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	want := pipeline.Pipeline{
		Name: "web-production",
		On:   pipeline.On{Push: []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{"main", "release"}}, Tags: &pipeline.Globs{Excludes: []string{"v0.*"}}}}},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{{
				Name: "Git", Type: awsType("Source", "CodeStarSourceConnection"), RunOrder: 1, Outputs: []string{"Src"},
				Configuration: raw(`{"BranchName":"main","ConnectionArn":"arn:c","DetectChanges":"false","FullRepositoryId":"acme/web"}`),
			}}},
			{Name: "Build", Actions: []pipeline.Action{
				{
					Name: "Build", Type: awsType("Build", "CodeBuild"), RunOrder: 1, Inputs: []string{"Src"}, Timeout: 60, Namespace: "BuildVariables",
					Configuration: raw(`{"EnvironmentVariables":"[{\"name\":\"BUCKET\",\"value\":\"${Bucket}\"},{\"name\":\"HOME\",\"value\":\"${HOME}\"}]","ProjectName":"web-build"}`),
				},
				{Name: "Scan", Type: awsType("Test", "CodeBuild"), RunOrder: 1, Configuration: raw(`{"ProjectName":"${Nameless}"}`)},
			}},
			{Name: "Deploy", Actions: []pipeline.Action{{
				Name: "Deploy", Type: awsType("Deploy", "EKS"), RunOrder: 1, Inputs: []string{"Src"},
				Configuration: raw(`{"ClusterName":"large","Namespace":"there","Never":"y","Subnets":"${ImportValue network-subnets}","Token":"{{resolve:ssm:/token}}","Values":"JHtBV1M6OkFjY291bnRJZH0="}`),
			}}},
		},
		Foreign: pipeline.Foreign{
			"roleArn": raw(`"${Role.Arn}"`), "artifactStores": raw(`{"eu-west-1":{"location":"web-artifacts","type":"S3"}}`),
			"restartExecutionOnUpdate": raw("true"), "tags": raw(`[{"key":"team","value":"web"}]`),
		},
	}
	if diff := cmp.Diff(want, got.Pipeline); diff != "" {
		t.Errorf("pipeline (-want +got):\n%s", diff)
	}
	var unresolved []string
	for _, u := range got.Unresolved {
		unresolved = append(unresolved, u.String())
	}
	const at = "Resources.Pipeline.Properties."
	wantUnresolved := []string{
		"line 33: " + at + "RoleArn: !GetAtt Role.Arn: the template has no resource of that name; ${Role.Arn} stands in its place",
		"line 56: " + at + "Stages[1].Actions[0].Configuration.EnvironmentVariables: ",
		"line 64: " + at + "Stages[1].Actions[1].Configuration.ProjectName: !Ref Nameless: AWS chooses the name of the resource; ${Nameless} stands in its place",
		"line 17: Conditions.Here: !Ref AWS::Region: it depends on the account; give --parameter AWS::Region=VALUE; ${AWS::Region} stands in its place",
		"line 72: " + at + "Stages[2].Actions[0].Configuration.Namespace: !If [Here, here, there]: condition Here depends on what is not known; it was taken for false",
		"line 73: " + at + "Stages[2].Actions[0].Configuration.Subnets: !ImportValue network-subnets: another stack exports it; ${ImportValue network-subnets} stands in its place",
		"line 74: " + at + "Stages[2].Actions[0].Configuration.Values: !Ref AWS::AccountId: it depends on the account; give --parameter AWS::AccountId=VALUE; ${AWS::AccountId} stands in its place",
		"line 76: " + at + "Stages[2].Actions[0].Configuration.Token: {{resolve:ssm:/token}}: AWS puts the value in when it creates the stack",
	}
	for i := range unresolved {
		if i < len(wantUnresolved) && strings.HasPrefix(unresolved[i], wantUnresolved[i]) {
			unresolved[i] = wantUnresolved[i]
		}
	}
	if diff := cmp.Diff(wantUnresolved, unresolved); diff != "" {
		t.Errorf("unresolved (-want +got):\n%s", diff)
	}
}

func TestImportTakesTheSameTemplateInJSON(t *testing.T) {
	t.Parallel()
	text := `{"Resources": {"P": {"Type": "AWS::CodePipeline::Pipeline", "Properties": {
		"RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
		"Stages": [{"Name": {"Fn::Sub": "${AWS::Region}-a"}, "Actions": [{"Name": "x", "RunOrder": 2, "ActionTypeId": {"Category": "Source", "Owner": "AWS", "Provider": "S3", "Version": "1"},
			"Configuration": {"S3Bucket": {"Fn::Join": ["-", ["a", {"Fn::Select": ["1", {"Fn::Split": [",", "b,c"]}]}]]}, "Object": {"deep": [1, true, null]}}}]}]}},
		"Role": {"Type": "AWS::IAM::Role"}}}`
	got, err := Import([]byte(text), ImportOptions{Parameters: map[string]string{"AWS::Region": "eu-west-1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := pipeline.Pipeline{Name: "P", Foreign: pipeline.Foreign{"roleArn": json.RawMessage(`"${Role.Arn}"`)}, Stages: []pipeline.Stage{{Name: "eu-west-1-a", Actions: []pipeline.Action{
		{Name: "x", RunOrder: 2, Type: awsType("Source", "S3"), Configuration: json.RawMessage(`{"Object":"{\"deep\":[1,true,null]}","S3Bucket":"a-c"}`)},
	}}}}
	if diff := cmp.Diff(want, got.Pipeline); diff != "" {
		t.Errorf("pipeline (-want +got):\n%s", diff)
	}
	if len(got.Unresolved) != 2 || got.Unresolved[0].Line != 2 || got.Unresolved[1].Path != "Resources.P.Properties.Name" {
		t.Errorf("unresolved: %v", got.Unresolved)
	}
}

func TestImportNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	const head = "Resources:\n  P:\n    Type: AWS::CodePipeline::Pipeline\n    Properties:\n"
	for name, c := range map[string]struct {
		text    string
		options ImportOptions
		want    string
	}{
		"nothing":                    {"", ImportOptions{}, "line 1, column 1: the template is empty; begin with Resources:"},
		"not YAML":                   {"a: [b\nc: d", ImportOptions{}, "line 1, column 1: "},
		"no resources":               {"Parameters: {}", ImportOptions{}, "line 1, column 1: this is no template: it has no Resources"},
		"no pipeline":                {"Resources: {A: {Type: AWS::S3::Bucket}}", ImportOptions{}, "the template has no resource of type AWS::CodePipeline::Pipeline"},
		"no properties":              {"Resources: {A: {Type: AWS::CodePipeline::Pipeline}}", ImportOptions{}, "resource A has no Properties"},
		"two pipelines":              {head + "      Name: a\n  Q: {Type: AWS::CodePipeline::Pipeline}", ImportOptions{}, "the template has 2 pipelines; choose one with --resource: P, Q"},
		"another pipeline":           {head + "      Name: a", ImportOptions{Resource: "Q"}, `the template has no pipeline "Q"; it has P`},
		"an unknown parameter":       {"Parameters: {A: {Type: String}}\n" + head + "      Name: a", ImportOptions{Parameters: map[string]string{"B": "x"}}, `the template has no parameter "B"; it has A`},
		"a value that is not one":    {"Parameters: {A: {Type: String, AllowedValues: [x, y]}}\n" + head + "      Name: a", ImportOptions{Parameters: map[string]string{"A": "z"}}, `line 1, column 17: parameter A cannot be "z"; choose one of x, y`},
		"an alias":                   {head + "      Name: &a x\n      RoleArn: *a", ImportOptions{}, "line 6, column 16: CloudFormation has no aliases"},
		"no such condition":          {head + "      Name: !If [C, a, b]", ImportOptions{}, `line 5, column 13: !If [C, a, b]: the template has no condition "C"`},
		"a condition in a circle":    {"Conditions: {C: !Not [!Condition D], D: !Not [!Condition C]}\n" + head + "      Name: !If [C, a, b]", ImportOptions{}, `condition "C" depends on itself`},
		"what is no condition":       {"Conditions: {C: !Ref A}\n" + head + "      Name: !If [C, a, b]", ImportOptions{}, "!Ref A is not a condition"},
		"no such mapping":            {head + "      Name: !FindInMap [A, b, c]", ImportOptions{}, "there is no A.b.c in the mappings"},
		"two arguments":              {head + "      Name: !If [a, b]", ImportOptions{}, "!If [a, b]: it takes a list of 3 arguments"},
		"text that is a list":        {head + "      Name: !Join ['-', [[a]]]", ImportOptions{}, "its list holds something else than text"},
		"a name that is a list":      {head + "      Name: [a]", ImportOptions{}, "name: it must be text, not a list"},
		"a text that grows":          {head + "      Name: " + grows(40), ImportOptions{}, "the template grows too large when it is evaluated"},
		"too deep":                   {head + "      Name: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), ImportOptions{}, "nested more than 100 deep"},
		"buckets that are in circle": {head + "      Name: !Ref A\n  A: {Type: AWS::S3::Bucket, Properties: {BucketName: !Ref B}}\n  B: {Type: AWS::S3::Bucket, Properties: {BucketName: !Ref A}}", ImportOptions{}, "functions call each other more than 100 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Import([]byte(c.text), c.options)
			_, placed := template.AsProblem(err)
			var problems pipeline.Problems
			if !placed && !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// grows is a template function whose text has two to the power of n letters.
func grows(n int) string {
	if n == 0 {
		return "x"
	}
	return "!Sub [\"${a}${a}\", {a: " + grows(n-1) + "}]"
}

func FuzzImport(f *testing.F) {
	f.Add(importFixture(f))
	f.Add([]byte(`{"Resources":{"P":{"Type":"AWS::CodePipeline::Pipeline","Properties":{"Name":{"Fn::Sub":["${a}",{"a":"b"}]},"Stages":[]}}}}`))
	f.Add([]byte("Conditions: {C: !Not [!Equals [a, !Ref B]]}\nResources: {P: {Type: AWS::CodePipeline::Pipeline, Properties: {Name: !If [C, !GetAtt [a, b], !Select [0, !Split ['-', a-b]]]}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Import(text, ImportOptions{})
		if err != nil {
			_, placed := template.AsProblem(err)
			var problems pipeline.Problems
			if !placed && !errors.As(err, &problems) {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		got.Pipeline.Check()
		if _, err := Declaration(got.Pipeline); err != nil {
			t.Errorf("%q cannot be written: %v", text, err)
		}
	})
}
