package project

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plain is a definition with nothing wrong in it.
func plain() Definition {
	return Definition{
		Name: "web", Source: Source{Type: "GITHUB", Location: "https://github.com/acme/web"}, Artifacts: Artifacts{Type: ArtifactsNone},
		Environment: Environment{Type: "LINUX_CONTAINER", Image: "aws/codebuild/standard:7.0", ComputeType: "BUILD_GENERAL1_SMALL"},
	}
}

func TestWhatNoBuildCouldRunByIsRefused(t *testing.T) {
	t.Parallel()
	full := plain()
	full.Description, full.ServiceRole = strings.Repeat("\u00e4", 255), strings.Repeat("r", 2048)
	full.Tags = []Tag{{strings.Repeat("\u00e4", 127), strings.Repeat("b", 255)}, {Key: "a: b+c-d=e/f@g.h_i"}}
	for _, d := range []Definition{plain(), full} {
		if err := d.Check(); err != nil {
			t.Fatal(err)
		}
	}
	for want, change := range map[string]func(*Definition){
		"project name":                       func(d *Definition) { d.Name = "../web" },
		"source.type":                        func(d *Definition) { d.Source.Type = "SVN" },
		"source.location: name a repository": func(d *Definition) { d.Source.Location = "" },
		"source.location: write BUCKET/KEY":  func(d *Definition) { d.Source = Source{Type: SourceS3, Location: "bucket"} },
		"needs the text of a buildspec":      func(d *Definition) { d.Source = Source{Type: SourceNone, Buildspec: "ci.yml"} },
		"both CODEPIPELINE, or neither":      func(d *Definition) { d.Source = Source{Type: SourcePipeline} },
		"not from a bucket":                  func(d *Definition) { d.Source.Buildspec = "arn:aws:s3:::b/k" },
		"sourceIdentifier: give it a name": func(d *Definition) {
			d.SecondarySources = []Source{{Type: "GITHUB", Location: "x", Identifier: "../x"}}
		},
		"no secondary source":                  func(d *Definition) { d.SecondaryVersions = []SourceVersion{{Identifier: "lib"}} },
		"artifacts.location":                   func(d *Definition) { d.Artifacts = Artifacts{Type: ArtifactsS3} },
		"artifacts.type":                       func(d *Definition) { d.Artifacts.Type = "FTP" },
		"builds run on Linux here":             func(d *Definition) { d.Environment.Type = "WINDOWS_CONTAINER" },
		"is no name of a variable":             func(d *Definition) { d.Environment.Variables = []Variable{{Name: "a=b"}} },
		"names with CODEBUILD_ belong":         func(d *Definition) { d.Environment.Variables = []Variable{{Name: "CODEBUILD_BUILD_ID"}} },
		"A is given twice":                     func(d *Definition) { d.Environment.Variables = []Variable{{Name: "A"}, {Name: "A"}} },
		"is none of PLAINTEXT":                 func(d *Definition) { d.Environment.Variables = []Variable{{Name: "A", Type: "VAULT"}} },
		"timeoutInMinutes":                     func(d *Definition) { d.Timeout = 4 },
		"queuedTimeoutInMinutes":               func(d *Definition) { d.QueuedTimeout = 481 },
		"concurrentBuildLimit":                 func(d *Definition) { d.Limit = -1 },
		"autoRetryLimit":                       func(d *Definition) { d.AutoRetry = 11 },
		"artifactIdentifier: give it the name": func(d *Definition) { d.SecondaryArtifacts = []Artifacts{{Type: ArtifactsNone}} },
		"lib is the name of another one": func(d *Definition) {
			s := Source{Type: "GITHUB", Location: "x", Identifier: "lib"}
			d.SecondarySources = []Source{s, s}
		},
		"tags: there are 51, and may be 50":        func(d *Definition) { d.Tags = make([]Tag, 51) },
		"description: take at most 255":            func(d *Definition) { d.Description = strings.Repeat("\u00e4", 256) },
		"serviceRole: take at most 2048":           func(d *Definition) { d.ServiceRole = strings.Repeat("r", 2049) },
		"tags[0].key: take 1 to 127":               func(d *Definition) { d.Tags = []Tag{{Value: "a"}} },
		"tags[1].key: team is given twice":         func(d *Definition) { d.Tags = []Tag{{Key: "team"}, {Key: "team"}} },
		"tags[0].value: take at most 255":          func(d *Definition) { d.Tags = []Tag{{Key: "team", Value: "<b>"}} },
		"environment.image":                        func(d *Definition) { d.Environment.Image = "" },
		"a secondary source is in S3 or a git rep": func(d *Definition) { d.SecondarySources = []Source{{Type: SourcePipeline, Identifier: "x"}} },
	} {
		d := plain()
		change(&d)
		if err := d.Check(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestADefinitionKeepsWhatHasNoMeaningHere(t *testing.T) {
	t.Parallel()
	const text = `{"name":"web","source":{"type":"GITHUB","location":"https://github.com/acme/web","gitCloneDepth":1,"gitSubmodulesConfig":{"fetchSubmodules":true},"auth":{"type":"OAUTH"},"reportBuildStatus":true,"insecureSsl":false},
		"artifacts":{"type":"NO_ARTIFACTS"},"environment":{"type":"LINUX_CONTAINER","image":"x","computeType":"BUILD_GENERAL1_SMALL","environmentVariables":[{"name":"A","value":"","type":"PLAINTEXT"}],"registryCredential":{"credential":"c","credentialProvider":"SECRETS_MANAGER"}},
		"serviceRole":"arn:aws:iam::1:role/x","cache":{"type":"LOCAL","modes":["LOCAL_CUSTOM_CACHE"]},"vpcConfig":{"vpcId":"v"},"logsConfig":{"s3Logs":{"status":"DISABLED"}},"buildBatchConfig":{"timeoutInMins":5},"tags":[{"key":"a","value":"b"}]}`
	var d Definition
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal([]byte(text), &want), json.Unmarshal(again, &got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	changed, err := d.Changed(map[string]json.RawMessage{"source": json.RawMessage(`{"type":"S3","location":"b/k"}`), "description": json.RawMessage(`"new"`)})
	if err != nil || changed.Source.Location != "b/k" || changed.Source.Depth != nil || changed.Description != "new" || changed.ServiceRole != d.ServiceRole {
		t.Errorf("changed %+v, %v", changed, err)
	}
}

func TestWhereArtifactsGo(t *testing.T) {
	t.Parallel()
	yes := true
	for want, a := range map[string]Artifacts{
		"builds/app":        {Path: "builds", Name: "app"},
		"builds/uuid/app":   {Path: "/builds/", Namespace: "BUILD_ID", Name: "app"},
		"made":              {},
		"made.zip":          {Packaging: "ZIP"},
		"p/made":            {Path: "p", Name: "app", ByBuild: &yes},
		"app.tgz":           {Name: "app.tgz", Packaging: "ZIP"},
		"uuid/etc/passwd":   {Path: "../..", Namespace: "BUILD_ID", Name: "etc/passwd"},
		"builds/uuid/a.zip": {Path: "builds", Namespace: "BUILD_ID", Name: "a.zip", Packaging: "ZIP"},
	} {
		if got := a.Key("web:uuid", "made"); got != want {
			t.Errorf("%+v goes to %q, want %q", a, got, want)
		}
	}
	// The buildspec names it, whoever wrote that.
	for made, want := range map[string]string{"../../x": "builds/uuid/x", "a/../../../x": "builds/uuid/x", "..": "builds/uuid", "a/b": "builds/uuid/a/b"} {
		a := Artifacts{Path: "builds", Namespace: "BUILD_ID", Name: "app", ByBuild: &yes}
		if got := a.Key("web:uuid", made); got != want {
			t.Errorf("what the buildspec names %q goes to %q, want %q", made, got, want)
		}
	}
}

func FuzzDefinition(f *testing.F) {
	f.Add([]byte(`{"name":"web","source":{"type":"NO_SOURCE","buildspec":"a\nb"},"artifacts":{"type":"NO_ARTIFACTS"},"environment":{"type":"LINUX_CONTAINER","image":"x","computeType":"y"}}`))
	f.Add([]byte(`{"name":"web","source":{"type":"GITHUB","gitCloneDepth":-1},"cache":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d Definition
		if json.Unmarshal(text, &d) != nil {
			return
		}
		_ = d.Check()
		_ = d.Artifacts.Key("web:uuid", "made")
		_ = d.Environment.Pod()
		if _, err := d.Changed(nil); err != nil {
			t.Error(err)
		}
	})
}
