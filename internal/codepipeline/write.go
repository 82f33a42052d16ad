package codepipeline

import (
	"encoding/json"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// roleARN stands where AWS's clients want a role and the definition has none.
// Towline acts under no role.
const roleARN = "arn:aws:iam::000000000000:role/towline"

// scheduleKey holds, in the configuration of the first source action, the
// schedules of the pipeline: AWS keeps those outside of definitions.
const scheduleKey = "TowlineSchedule"

// outside are members that a template of CloudFormation has and AWS's API does
// not.
var outside = []string{"disableInboundStageTransitions", "restartExecutionOnUpdate", "tags"}

func write(p pipeline.Pipeline) record {
	p = spelledOut(p)
	var out record
	out.add("name", p.Name)
	for _, name := range []string{"roleArn", "artifactStore", "artifactStores"} {
		if raw, ok := p.Foreign[name]; ok {
			out.add(name, raw)
		}
	}
	stages := []any{}
	for _, s := range p.Stages {
		stages = append(stages, writeStage(s))
	}
	out = append(out, member{"stages", stages})
	out.add("version", p.Version)
	out.add("executionMode", string(p.Mode))
	if raw, ok := p.Foreign["pipelineType"]; ok {
		out.add("pipelineType", raw)
	}
	out.add(memberVariables, kept(p.Foreign, memberVariables, writeVariables(p.Variables), func(r *reader, raw json.RawMessage) bool {
		return same(r.variables(raw), p.Variables)
	}))
	first := firstSource(p)
	out.add(memberTriggers, kept(p.Foreign, memberTriggers, writeTriggers(p.On, first), func(r *reader, raw json.RawMessage) bool {
		return same(r.triggers(raw, first), onlyGit(p.On))
	}))
	rest := pipeline.Foreign{}
	for name, raw := range p.Foreign {
		if !slices.Contains(outside, name) && name != memberVariables && name != memberTriggers {
			rest[name] = raw
		}
	}
	out.addForeign(rest)
	return out
}

func onlyGit(on pipeline.On) pipeline.On {
	on.Schedule = nil
	return on
}

func writeVariables(variables []pipeline.Variable) []any {
	var out []any
	for _, v := range variables {
		var one record
		one.add("name", v.Name)
		if v.Default != nil {
			one = append(one, member{"defaultValue", *v.Default})
		}
		one.add("description", v.Description)
		out = append(out, one)
	}
	return out
}

func writeStage(s pipeline.Stage) record {
	var out record
	out.add("name", s.Name)
	actions := []any{}
	for _, a := range s.Actions {
		actions = append(actions, writeAction(a))
	}
	out = append(out, member{"actions", actions})
	rest := merged(s.Foreign)
	for _, kind := range kinds {
		name := conditionMember(kind)
		delete(rest, name)
		condition := s.Condition(kind)
		if condition == nil {
			continue
		}
		out = append(out, member{name, kept(s.Foreign, name, writeCondition(kind, *condition), func(r *reader, raw json.RawMessage) bool {
			return same(r.condition(raw, kind, name), condition)
		})})
	}
	out.addForeign(rest)
	return out
}

func writeAction(a pipeline.Action) record {
	var out record
	out.add("name", a.Name)
	out.add("actionTypeId", keptType(a.Foreign, "actionTypeId", a.Type))
	out.add("runOrder", a.RunOrder)
	texts, others := split(a.Configuration, a.Type)
	out.add("configuration", texts)
	out = append(out, others.without(filesPart)...)
	files := filesOf(a.Configuration, a.Type)
	out.add("outputArtifacts", kept(a.Foreign, "outputArtifacts", writeOutputs(a.Outputs, files), func(r *reader, raw json.RawMessage) bool {
		return same(r.outputs(raw, "", map[string][]string{}), a.Outputs)
	}))
	out.add("inputArtifacts", keptInputs(a.Foreign, a.Inputs))
	out.add("namespace", a.Namespace)
	out.add("timeoutInMinutes", a.Timeout)
	rest := merged(a.Foreign)
	delete(rest, "outputArtifacts")
	delete(rest, "inputArtifacts")
	out.addForeign(rest)
	return out
}

func writeType(t pipeline.ActionType) record {
	var out record
	out.add("category", string(t.Category))
	out.add("owner", t.Owner)
	out.add("provider", t.Provider)
	out.add("version", t.Version)
	return out
}

func keptType(f pipeline.Foreign, name string, t pipeline.ActionType) any {
	return kept(f, name, writeType(t), func(r *reader, raw json.RawMessage) bool {
		again, _ := r.actionType(object{reader: r, members: map[string]json.RawMessage{name: raw}}, name)
		return again == t
	})
}

func keptInputs(f pipeline.Foreign, names []string) any {
	return kept(f, "inputArtifacts", writeInputs(names), func(r *reader, raw json.RawMessage) bool {
		again, _ := r.inputs(object{reader: r, members: map[string]json.RawMessage{"inputArtifacts": raw}}, nil)
		return slices.Equal(again, names)
	})
}

func writeInputs(names []string) []any {
	var out []any
	for _, name := range names {
		out = append(out, record{{"name", name}})
	}
	return out
}

func writeOutputs(names []string, files map[string][]string) []any {
	var out []any
	for _, name := range names {
		one := record{{"name", name}}
		one.add("files", files[name])
		out = append(out, one)
	}
	return out
}
