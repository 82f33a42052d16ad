package codepipeline

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/towline/towline/internal/pipeline"
)

// drawing draws declarations of AWS's, also such as make no sense.
type drawing struct{ t *rapid.T }

func (d drawing) word() string {
	return rapid.SampledFrom([]string{"a", "b", "Git", "x.y", "#{a.V}", "#{variables.b}", "<&>", "ü", "5", `"5"`, "[]", "true"}).Draw(d.t, "word")
}

func (d drawing) name() string {
	return rapid.SampledFrom([]string{"a", "b", "c", "Git"}).Draw(d.t, "name")
}

func (d drawing) perhaps() bool { return rapid.IntRange(0, 2).Draw(d.t, "perhaps") == 0 }

func (d drawing) words() []any {
	var all []any
	for range rapid.IntRange(1, 3).Draw(d.t, "words") {
		all = append(all, d.word())
	}
	return all
}

// object has the members that are drawn, and now and then one that nobody
// knows.
func (d drawing) object(members map[string]func() any) map[string]any {
	out := map[string]any{}
	for _, name := range sortedKeys(members) {
		if d.perhaps() {
			out[name] = members[name]()
		}
	}
	if rapid.IntRange(0, 9).Draw(d.t, "unknown") == 0 {
		out["x-"+d.name()] = rapid.SampledFrom([]any{1, "text", true, []any{"a", 2.5}, map[string]any{"k": "v"}}).Draw(d.t, "value")
	}
	return out
}

func (d drawing) list(most int, one func() any) func() any {
	return func() any {
		all := []any{}
		for range rapid.IntRange(0, most).Draw(d.t, "n") {
			all = append(all, one())
		}
		return all
	}
}

func (d drawing) kind(categories ...string) map[string]any {
	return map[string]any{
		"category": rapid.SampledFrom(categories).Draw(d.t, "category"),
		"owner":    rapid.SampledFrom([]string{"AWS", "Custom", "Towline"}).Draw(d.t, "owner"),
		"provider": rapid.SampledFrom([]string{"S3", "CodeBuild", "Image", "Git", "Strange"}).Draw(d.t, "provider"), "version": "1",
	}
}

func (d drawing) configuration() any {
	out := map[string]any{}
	for range rapid.IntRange(1, 4).Draw(d.t, "keys") {
		out[rapid.SampledFrom([]string{"a", "b", "commands", "files", "repository", "ports", scheduleKey}).Draw(d.t, "key")] = d.word()
	}
	return out
}

func (d drawing) artifacts(files bool) func() any {
	return d.list(2, func() any {
		out := map[string]any{"name": d.name()}
		if files && d.perhaps() {
			out["files"] = d.words()
		}
		return out
	})
}

func (d drawing) action() any {
	out := d.object(map[string]func() any{
		"configuration": d.configuration, "commands": func() any { return d.words() }, "outputVariables": func() any { return d.words() },
		"environmentVariables": d.list(2, func() any { return map[string]any{"name": d.name(), "value": d.word()} }),
		"inputArtifacts":       d.artifacts(false), "outputArtifacts": d.artifacts(true), "namespace": func() any { return d.name() },
		"region": func() any { return "eu-west-1" }, "roleArn": func() any { return "r" }, "timeoutInMinutes": func() any { return 30 },
	})
	out["name"], out["actionTypeId"], out["runOrder"] = d.name(), d.kind("Source", "Build", "Compute"), rapid.IntRange(1, 999).Draw(d.t, "order")
	return out
}

func (d drawing) rule() any {
	out := d.object(map[string]func() any{"configuration": d.configuration, "commands": func() any { return d.words() }, "inputArtifacts": d.artifacts(false), "region": func() any { return "x" }})
	out["name"], out["ruleTypeId"] = d.name(), d.kind("Rule")
	return out
}

func (d drawing) condition() any {
	result := func() any {
		return rapid.SampledFrom([]string{"FAIL", "ROLLBACK", "RETRY", "SKIP"}).Draw(d.t, "result")
	}
	return d.object(map[string]func() any{
		"result": result, "retryConfiguration": func() any { return map[string]any{"retryMode": "ALL_ACTIONS"} },
		"conditions": d.list(1, func() any { return d.object(map[string]func() any{"result": result, "rules": d.list(3, d.rule)}) }),
	})
}

func (d drawing) trigger() any {
	globs := func() any {
		return d.object(map[string]func() any{"includes": func() any { return d.words() }, "excludes": func() any { return d.words() }})
	}
	filter := func() any {
		return d.object(map[string]func() any{"branches": globs, "tags": globs, "filePaths": globs, "events": func() any { return []any{"OPEN"} }})
	}
	git := d.object(map[string]func() any{"push": d.list(2, filter), "pullRequest": d.list(2, filter)})
	git["sourceActionName"] = d.name()
	return map[string]any{"providerType": "CodeStarSourceConnection", "gitConfiguration": git}
}

func (d drawing) declaration() map[string]any {
	stage := func() any {
		out := d.object(map[string]func() any{"beforeEntry": d.condition, "onSuccess": d.condition, "onFailure": d.condition, "blockers": func() any { return []any{map[string]any{"name": "b"}} }})
		out["name"], out["actions"] = d.name(), d.list(3, d.action)()
		return out
	}
	out := d.object(map[string]func() any{
		"artifactStore": func() any { return map[string]any{"type": "S3", "location": "bucket"} }, "version": func() any { return 7 },
		"executionMode": func() any { return "QUEUED" }, "triggers": d.list(3, d.trigger),
		"variables": d.list(3, func() any {
			v := d.object(map[string]func() any{"defaultValue": func() any { return rapid.SampledFrom([]string{"", "x"}).Draw(d.t, "default") }, "description": func() any { return "" }})
			v["name"] = d.name()
			return v
		}),
	})
	// AWS wants a role and tells the type of each pipeline that it has.
	out["name"], out["stages"], out["roleArn"], out["pipelineType"] = d.name(), d.list(3, stage)(), "r", "V2"
	giveNamespace(out)
	return out
}

// giveNamespace makes an action that variables could be of one that has them:
// AWS knows no namespace that was not given.
func giveNamespace(declaration map[string]any) {
	var first map[string]any
	for _, s := range declaration["stages"].([]any) {
		for _, one := range s.(map[string]any)["actions"].([]any) {
			a := one.(map[string]any)
			if a["namespace"] == "a" {
				return
			}
			if a["name"] == "a" && a["namespace"] == nil && first == nil {
				first = a
			}
		}
	}
	if first != nil {
		first["namespace"] = "a"
	}
}

func sortedKeys(members map[string]func() any) []string {
	var names []string
	for _, name := range []string{
		"actions", "artifactStore", "beforeEntry", "blockers", "branches", "commands", "conditions", "configuration", "defaultValue", "description", "environmentVariables",
		"events", "excludes", "executionMode", "filePaths", "includes", "inputArtifacts", "namespace", "onFailure", "onSuccess", "outputArtifacts", "outputVariables",
		"pullRequest", "push", "region", "result", "retryConfiguration", "roleArn", "rules", "tags", "timeoutInMinutes", "triggers", "variables", "version",
	} {
		if _, ok := members[name]; ok {
			names = append(names, name)
		}
	}
	if len(names) != len(members) {
		panic(fmt.Sprintf("a member is missing among %v", names))
	}
	return names
}

func TestAnyDeclarationComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want, err := json.Marshal(drawing{t}.declaration())
		if err != nil {
			t.Fatal(err)
		}
		p, err := Read(want)
		if err != nil {
			t.Fatal(err)
		}
		// Through the store, as the server keeps it.
		kept, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var again pipeline.Pipeline
		if err := json.Unmarshal(kept, &again); err != nil {
			t.Fatal(err)
		}
		got, err := Declaration(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(canonical(pruned(want))), string(canonical(pruned(got)))); diff != "" {
			t.Fatalf("by way of %s (-want +got):\n%s", kept, diff)
		}
	})
}
