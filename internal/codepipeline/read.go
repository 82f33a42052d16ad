package codepipeline

import (
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// The parts of a declaration that are compared as a whole: they are kept as
// they came when what is made of them says less than they do.
const (
	memberVariables = "variables"
	memberTriggers  = "triggers"
)

// pipeline reads a declaration.
func (r *reader) pipeline(raw json.RawMessage) pipeline.Pipeline {
	o := r.object(raw, "")
	p := pipeline.Pipeline{
		Name: o.text("name"), Version: o.number("version"), Mode: pipeline.ExecutionMode(o.text("executionMode")),
	}
	stages := o.list("stages")
	for i, s := range stages {
		p.Stages = append(p.Stages, r.stage(s, fmt.Sprintf("stages[%d]", i)))
	}
	whole := map[string]json.RawMessage{}
	for _, name := range []string{memberVariables, memberTriggers} {
		if raw, ok := o.take(name); ok {
			whole[name] = raw
		}
	}
	p.Foreign = o.foreign()
	if raw, ok := whole[memberVariables]; ok {
		p.Variables = r.variables(raw)
		p.Foreign = keep(p.Foreign, memberVariables, raw, writeVariables(p.Variables))
	}
	if raw, ok := whole[memberTriggers]; ok {
		p.On = r.triggers(raw, firstSource(p))
		p.Foreign = keep(p.Foreign, memberTriggers, raw, writeTriggers(p.On, firstSource(p)))
	}
	imply(&p)
	return p
}

// keep adds a member to what is foreign when what Towline makes of it would
// not say the same.
func keep(f pipeline.Foreign, name string, raw json.RawMessage, again any) pipeline.Foreign {
	if same(raw, again) {
		return f
	}
	return with(f, name, raw)
}

// kept is a member as it came, when it still means what the definition says,
// and else what is written now.
func kept(f pipeline.Foreign, name string, now any, unchanged func(r *reader, raw json.RawMessage) bool) any {
	raw, ok := f[name]
	if !ok {
		return now
	}
	var r reader
	if unchanged(&r, raw) && len(r.problems) == 0 {
		return raw
	}
	return now
}

func (r *reader) variables(raw json.RawMessage) []pipeline.Variable {
	var variables []pipeline.Variable
	for i, element := range r.list(raw, memberVariables) {
		o := r.object(element, fmt.Sprintf("%s[%d]", memberVariables, i))
		v := pipeline.Variable{Name: o.text("name"), Description: o.text("description")}
		if raw, ok := o.take("defaultValue"); ok {
			text := r.text(raw, o.at("defaultValue"))
			v.Default = &text
		}
		variables = append(variables, v)
	}
	return variables
}

func (r *reader) stage(raw json.RawMessage, path string) pipeline.Stage {
	o := r.object(raw, path)
	s := pipeline.Stage{Name: o.text("name")}
	for i, a := range o.list("actions") {
		s.Actions = append(s.Actions, r.action(a, fmt.Sprintf("%s.actions[%d]", path, i)))
	}
	conditions := map[pipeline.ConditionKind]json.RawMessage{}
	for _, kind := range kinds {
		if raw, ok := o.take(conditionMember(kind)); ok {
			conditions[kind] = raw
		}
	}
	s.Foreign = o.foreign()
	for _, kind := range kinds {
		raw, ok := conditions[kind]
		if !ok {
			continue
		}
		name := conditionMember(kind)
		condition := r.condition(raw, kind, path+"."+name)
		*conditionOf(&s, kind) = &condition
		s.Foreign = keep(s.Foreign, name, raw, writeCondition(kind, condition))
	}
	return s
}

func (r *reader) action(raw json.RawMessage, path string) pipeline.Action {
	o := r.object(raw, path)
	a := pipeline.Action{
		Name: o.text("name"), RunOrder: o.number("runOrder"), Namespace: o.text("namespace"), Timeout: o.number("timeoutInMinutes"),
	}
	if a.RunOrder == 0 {
		a.RunOrder = 1 // as AWS does
	}
	var foreign pipeline.Foreign
	a.Type, foreign = r.actionType(o, "actionTypeId")
	a.Inputs, foreign = r.inputs(o, foreign)
	files := map[string][]string{}
	outputs, given := o.take("outputArtifacts")
	if given {
		a.Outputs = r.outputs(outputs, o.at("outputArtifacts"), files)
	}
	a.Configuration, foreign = r.configuration(o, a.Type, files, foreign)
	if given {
		foreign = keep(foreign, "outputArtifacts", outputs, writeOutputs(a.Outputs, filesOf(a.Configuration, a.Type)))
	}
	a.Foreign = merged(o.foreign(), foreign)
	return a
}

// actionType takes the type of an action or a rule.
func (r *reader) actionType(from object, name string) (pipeline.ActionType, pipeline.Foreign) {
	raw, ok := from.take(name)
	if !ok {
		return pipeline.ActionType{}, nil
	}
	o := r.object(raw, from.at(name))
	t := pipeline.ActionType{
		Category: pipeline.Category(o.text("category")), Owner: o.text("owner"), Provider: o.text("provider"), Version: o.text("version"),
	}
	return t, keep(nil, name, raw, writeType(t))
}

func (r *reader) inputs(from object, foreign pipeline.Foreign) ([]string, pipeline.Foreign) {
	raw, ok := from.take("inputArtifacts")
	if !ok {
		return nil, foreign
	}
	path := from.at("inputArtifacts")
	var names []string
	for i, element := range r.list(raw, path) {
		names = append(names, r.object(element, fmt.Sprintf("%s[%d]", path, i)).text("name"))
	}
	return names, keep(foreign, "inputArtifacts", raw, writeInputs(names))
}

// outputs reads the names of artifacts, and which files each is made of.
func (r *reader) outputs(raw json.RawMessage, path string, files map[string][]string) []string {
	var names []string
	for i, element := range r.list(raw, path) {
		o := r.object(element, fmt.Sprintf("%s[%d]", path, i))
		name := o.text("name")
		names = append(names, name)
		if patterns, ok := o.take("files"); ok {
			if texts := r.texts(patterns, o.at("files")); len(texts) > 0 {
				files[name] = texts
			}
		}
	}
	return names
}

func merged(all ...pipeline.Foreign) pipeline.Foreign {
	var out pipeline.Foreign
	for _, f := range all {
		for name, raw := range f {
			out = with(out, name, raw)
		}
	}
	return out
}

// firstSource is the action that a trigger means which names none.
func firstSource(p pipeline.Pipeline) string {
	if len(p.Stages) == 0 || len(p.Stages[0].Actions) == 0 {
		return ""
	}
	return p.Stages[0].Actions[0].Name
}
