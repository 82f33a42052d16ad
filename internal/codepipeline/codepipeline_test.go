package codepipeline

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func fixture(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/pipeline.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func awsType(category pipeline.Category, provider string) pipeline.ActionType {
	return pipeline.ActionType{Category: category, Owner: "AWS", Provider: provider, Version: "1"}
}

// asWritten is a JSON text with its members sorted, and with what AWS says of
// itself when it is left out.
func asWritten(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	return string(canonical(pruned(raw)))
}

func TestParseUnderstandsAllOfADefinition(t *testing.T) {
	t.Parallel()
	got, err := Parse(fixture(t))
	if err != nil {
		t.Fatal(err)
	}
	staging := "staging"
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	want := pipeline.Pipeline{
		Name: "web", Version: 7, Mode: pipeline.ModeQueued,
		On: pipeline.On{
			Push: []pipeline.PushFilter{
				{Branches: &pipeline.Globs{Includes: []string{"main", "release/*"}, Excludes: []string{"release/old"}}, Paths: &pipeline.Globs{Excludes: []string{"docs/**"}}},
				{Tags: &pipeline.Globs{Includes: []string{"v*"}}},
			},
			PullRequest: []pipeline.PullRequestFilter{{Events: []pipeline.PullRequestEvent{"OPEN", "UPDATED"}, Branches: &pipeline.Globs{Includes: []string{"main"}}}},
		},
		Variables: []pipeline.Variable{{Name: "target", Default: &staging, Description: "where to"}, {Name: "ticket"}},
		Foreign: pipeline.Foreign{
			"roleArn":       raw(`"arn:aws:iam::123456789012:role/pipeline"`),
			"artifactStore": raw(`{"type":"S3","location":"web-artifacts","encryptionKey":{"id":"alias/web","type":"KMS"}}`),
		},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{{
				Name: "Git", Type: awsType("Source", "CodeStarSourceConnection"), RunOrder: 1, Outputs: []string{"src"}, Namespace: "SourceVariables",
				Configuration: raw(`{"BranchName":"main","ConnectionArn":"arn:aws:codestar-connections:eu-west-1:123456789012:connection/1","FullRepositoryId":"acme/web"}`),
				Foreign:       pipeline.Foreign{"region": raw(`"eu-west-1"`)},
			}}},
			{Name: "Build", Actions: []pipeline.Action{{
				// The namespace is the name and somebody refers to it: it goes without saying.
				Name: "Package", Type: awsType("Compute", "Commands"), RunOrder: 1, Inputs: []string{"src"}, Outputs: []string{"app"}, Timeout: 30,
				Configuration: raw(`{"commands":["make app","echo \"#{SourceVariables.CommitId}\" > version"],"environmentVariables":[{"name":"TARGET","type":"PLAINTEXT","value":"#{variables.target}"}],"files":{"app":["bin/**","version"]},"outputVariables":["VERSION"]}`),
			}}, OnFailure: &pipeline.Condition{Result: pipeline.ResultRetry, RetryMode: pipeline.RetryAllActions}},
			{
				Name: "Deploy", Foreign: pipeline.Foreign{"blockers": raw(`[{"name":"night","type":"Schedule"}]`)},
				Actions: []pipeline.Action{
					{Name: "go-ahead", Type: awsType("Approval", "Manual"), RunOrder: 1, Configuration: raw(`{"CustomData":"Release #{Package.VERSION} & go?"}`)},
					{
						Name: "eks", Type: awsType("Deploy", "EKS"), RunOrder: 2, Inputs: []string{"app"}, Configuration: raw(`{"ClusterName":"production","ManifestFiles":"k8s/web.yaml","Namespace":"web"}`),
						Foreign: pipeline.Foreign{"roleArn": raw(`"arn:aws:iam::123456789012:role/deploy"`)},
					},
				},
				BeforeEntry: &pipeline.Condition{Result: pipeline.ResultSkip, Rules: []pipeline.Rule{{Name: "main", Type: awsType("Rule", "VariableCheck"), Configuration: raw(`{"Operator":"EQ","Value":"main","Variable":"#{SourceVariables.BranchName}"}`)}}},
				OnSuccess:   &pipeline.Condition{Result: pipeline.ResultFail, Rules: []pipeline.Rule{{Name: "smoke", Type: awsType("Rule", "Commands"), Inputs: []string{"app"}, Timeout: 10, Configuration: raw(`{"commands":["curl -f https://web"]}`)}}},
				OnFailure:   &pipeline.Condition{Result: pipeline.ResultRollback, Rules: []pipeline.Rule{{Name: "alarm", Type: awsType("Rule", "CloudWatchAlarm"), Configuration: raw(`{"AlarmName":"errors","WaitTime":"1"}`), Foreign: pipeline.Foreign{"region": raw(`"eu-west-1"`)}}}},
			},
		},
	}
	if diff := cmp.Diff(want, got.Pipeline); diff != "" {
		t.Errorf("pipeline (-want +got):\n%s", diff)
	}
	if problems := got.Pipeline.Check(); problems != nil {
		t.Errorf("it is taken for wrong:\n%v", problems)
	}
}

func TestAFileComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"the answer of get-pipeline": string(fixture(t)),
		"the structure alone":        string(canonical(inner(t, fixture(t)))),
		"what nobody knows": `{"pipeline":{"name":"p","roleArn":"r","pipelineType":"V2","shiny":{"a":[1,2.50,{"b":null}]},"stages":[
			{"name":"S","extra":1,"actions":[{"name":"a","extra":"x","runOrder":3,"actionTypeId":{"category":"Source","owner":"Custom","provider":"P","version":"1","more":true},
			"configuration":{"files":"a,b","commands":"x"},"commands":["y"],"inputArtifacts":[{"name":"i","x":1}],"outputArtifacts":[{"name":"o","files":["f"],"y":2}]}],
			"onSuccess":{"conditions":[{"result":"FAIL","new":1,"rules":[{"name":"r","ruleTypeId":{"category":"Rule","provider":"X"},"later":{}}]}]},
			"onFailure":{"result":"RETRY","conditions":[{"result":"FAIL","rules":[{"name":"r","ruleTypeId":{"category":"Rule","provider":"X"}}]}]},
			"beforeEntry":{}}],
			"variables":[{"name":"v","defaultValue":"","type":"secret"}],
			"triggers":[{"providerType":"Other","gitConfiguration":{"sourceActionName":"zzz","push":[{"tags":{"includes":["v*"]},"labels":["x"]}]}},{"providerType":"Timer"}]},"tags":[{"key":"a","value":"b"}]}`,
		"V1 and nothing more":          `{"name":"p","roleArn":"r","pipelineType":"V1","stages":[]}`,
		"V2 that needs not be":         `{"name":"p","roleArn":"r","pipelineType":"V2","stages":[]}`,
		"no type":                      `{"name":"p","roleArn":"r","stages":[]}`,
		"the role that stands for one": `{"name":"p","roleArn":"` + roleARN + `","stages":[]}`,
		"a trigger without filters":    `{"name":"p","roleArn":"r","pipelineType":"V2","stages":[],"triggers":[{"providerType":"CodeStarSourceConnection","gitConfiguration":{"sourceActionName":"a"}}]}`,
		"Towline's own action types": `{"name":"p","roleArn":"r","stages":[{"name":"S","actions":[
			{"name":"a","runOrder":1,"actionTypeId":{"category":"Build","owner":"Towline","provider":"Image","version":"1"},"configuration":{"repository":"web","user":"1000","ports":"[8080]","entrypoint":"[\"/app\"]","x":"\"5\"","y":"5","z":"\"z\"","w":"plain"}}]}]}`,
		"two actions of one name": `{"name":"p","roleArn":"r","stages":[{"name":"S","actions":[{"name":"x","namespace":"x","runOrder":1,"actionTypeId":{"category":"Source","owner":"AWS","provider":"S3","version":"1"}}]},
			{"name":"T","actions":[{"name":"x","runOrder":1,"actionTypeId":{"category":"Build","owner":"AWS","provider":"CodeBuild","version":"1"},"configuration":{"ProjectName":"#{x.ETag}"}}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			again, err := d.Format()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asWritten(t, json.RawMessage(text)), asWritten(t, again)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			// A store keeps definitions in JSON, in which <, > and & are escaped.
			kept, err := json.Marshal(d.Pipeline)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(kept, &d.Pipeline); err != nil {
				t.Fatal(err)
			}
			if again, err = d.Format(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asWritten(t, json.RawMessage(text)), asWritten(t, again)); diff != "" {
				t.Errorf("after it was kept (-want +got)\n%s", diff)
			}
		})
	}
}

func inner(t testing.TB, text []byte) json.RawMessage {
	t.Helper()
	var whole struct{ Pipeline json.RawMessage }
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	return whole.Pipeline
}

// towline is a definition as towline.yaml makes them.
func towline() pipeline.Pipeline {
	own := func(category pipeline.Category, provider string) pipeline.ActionType {
		return pipeline.ActionType{Category: category, Owner: "Towline", Provider: provider, Version: "1"}
	}
	return pipeline.Pipeline{
		Name: "web", Version: 1,
		On: pipeline.On{
			Push:     []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{"main"}}}},
			Schedule: []pipeline.Schedule{{Cron: "30 6 * * 1-5", TimeZone: "Europe/Berlin"}},
		},
		Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{{Name: "push", Type: own("Source", "Git"), RunOrder: 1, Outputs: []string{"source"}, Configuration: json.RawMessage(`{"repository":"web"}`)}}},
			{Name: "Test", Actions: []pipeline.Action{
				{Name: "unit", Type: own("Build", "Buildspec"), RunOrder: 1, Inputs: []string{"source"}, Outputs: []string{"app"}, Configuration: json.RawMessage(`{"commands":["make test","true"],"services":{"db":{"engine":"postgres"}},"timeout":"5m"}`)},
				{Name: "image", Type: own("Build", "Image"), RunOrder: 2, Inputs: []string{"app"}, Configuration: json.RawMessage(`{"base":"scratch","ports":[8080],"repository":"web","user":"1000"}`)},
				{Name: "strange", Type: own("Invoke", "Strange"), RunOrder: 2, Configuration: json.RawMessage(`{"a":5,"b":"5","c":true,"d":"true","e":"\"5\"","f":"text","g":{"h":[null,"<&>"]}}`)},
			}},
			{Name: "Deploy", Actions: []pipeline.Action{
				{Name: "production", Type: own("Deploy", "Kubernetes"), RunOrder: 1, Inputs: []string{"source"}, Configuration: json.RawMessage(`{"approval":true,"images":{"web":"#{image.ImageURI}"},"manifests":"k8s/","verify":{"rate":100}}`)},
			}},
		},
	}
}

func TestATowlineDefinitionComesBackFromAWSsForm(t *testing.T) {
	t.Parallel()
	text, err := Declaration(towline())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(towline(), got); diff != "" {
		t.Errorf("by way of %s (-want +got):\n%s", text, diff)
	}
	if problems := got.Check(); problems != nil {
		t.Errorf("it is taken for wrong:\n%v", problems)
	}
	for _, want := range []string{`"roleArn":"` + roleARN + `"`, `"pipelineType":"V2"`, `"sourceActionName":"push"`, `"namespace":"image"`, `"ports":"[8080]"`, `"user":"1000"`, `"approval":"true"`, `"b":"\"5\""`, `<&>`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(string(text), `"namespace":"unit"`) {
		t.Errorf("a namespace that nobody needs in %s", text)
	}
}

func TestLeftoversAndExtensionsAreNamed(t *testing.T) {
	t.Parallel()
	d, err := Parse(fixture(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range d.Leftovers() {
		got = append(got, l.String())
	}
	want := []string{
		"metadata: Towline keeps its own times",
		"artifactStore: Towline keeps artifacts in its own store",
		"roleArn: Towline acts under no role of AWS's",
		"stages[0].actions[0].region: Towline's actions run in no region",
		"stages[2].blockers: AWS keeps them for later use",
		"stages[2].actions[1].roleArn: Towline acts under no role of AWS's",
		"stages[2].onFailure.conditions[0].rules[0].region: Towline's actions run in no region",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("leftovers (-want +got):\n%s", diff)
	}
	if found := Extensions(d.Pipeline); found != nil {
		t.Errorf("AWS would not take what it gave: %v", found)
	}
	got = nil
	for _, l := range Extensions(towline()) {
		got = append(got, l.Path)
	}
	want = []string{
		"roleArn", "artifactStore", "stages[0].actions[0].configuration.TowlineSchedule", "stages[0].actions[0].actionTypeId", "stages[1].actions[0].actionTypeId",
		"stages[1].actions[1].actionTypeId", "stages[1].actions[2].actionTypeId", "stages[2].actions[0].actionTypeId",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
}

func TestParseNamesWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                {"", "line 1, column 1: this is not JSON: unexpected end of JSON input"},
		"not JSON":               {"{\n  \"name\": web\n}", "line 2, column 11: this is not JSON: invalid character 'w'"},
		"a list":                 {"[]", "the file: it must be an object, not a list; write an object in braces"},
		"null":                   {"null", "the file: it must be an object, not null"},
		"a number for a name":    {`{"name":7}`, "name: it must be text, not a number; write it in quotes"},
		"text for a run order":   {`{"stages":[{"actions":[{},{"runOrder":"1"}]}]}`, `stages[0].actions[1].runOrder: it must be a whole number, not "1"; write digits without quotes`},
		"half a run order":       {`{"stages":[{"actions":[{"runOrder":1.5}]}]}`, `runOrder: it must be a whole number, not 1.5`},
		"an object for stages":   {`{"pipeline":{"stages":{}}}`, "stages: it must be a list, not an object; write a list in brackets"},
		"a list in a map":        {`{"stages":[{"actions":[{"configuration":{"a":[]}}]}]}`, "stages[0].actions[0].configuration.a: it must be text, not a list"},
		"two conditions":         {`{"stages":[{"beforeEntry":{"conditions":[{},{}]}}]}`, "stages[0].beforeEntry.conditions[1]: there can be one condition of a kind"},
		"text for an artifact":   {`{"stages":[{"actions":[{"inputArtifacts":["a"]}]}]}`, "stages[0].actions[0].inputArtifacts[0]: it must be an object, not text"},
		"a number for a pattern": {`{"triggers":[{"gitConfiguration":{"push":[{"tags":{"includes":[1]}}]}}]}`, "triggers[0].gitConfiguration.push[0].tags.includes[0]: it must be text"},
		"far too much":           {strings.Repeat(" ", maxSize+1), "the file: it has 2097153 bytes, the most is 2097152"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(c.text))
			var problems pipeline.Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) || problems.Exception() != pipeline.InvalidValue {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(fixture(f))
	text, err := Declaration(towline())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(text))
	f.Add([]byte(`{"pipeline":{"stages":[{"actions":[{"configuration":{"commands":"a"},"commands":["b"]}]}]},"tags":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse(text)
		if err != nil {
			if _, ok := errors.AsType[pipeline.Problems](err); !ok {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		once, err := d.Format()
		if err != nil {
			t.Fatalf("%q cannot be written: %v", text, err)
		}
		d.Pipeline.Check()
		d.Leftovers()
		Extensions(d.Pipeline)
		back, err := Parse(once)
		if err != nil {
			t.Fatalf("%q is not understood when it comes back as %q: %v", text, once, err)
		}
		twice, err := back.Format()
		if err != nil || string(twice) != string(once) {
			t.Errorf("%q becomes %q and then %q (%v)", text, once, twice, err)
		}
	})
}
