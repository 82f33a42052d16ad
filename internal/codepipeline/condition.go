package codepipeline

import (
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// kinds are the conditions in the order in which AWS lists them.
var kinds = []pipeline.ConditionKind{pipeline.BeforeEntry, pipeline.OnSuccess, pipeline.OnFailure}

func conditionMember(kind pipeline.ConditionKind) string {
	switch kind {
	case pipeline.BeforeEntry:
		return "beforeEntry"
	case pipeline.OnSuccess:
		return "onSuccess"
	}
	return "onFailure"
}

// conditionOf is the place of a condition in its stage.
func conditionOf(s *pipeline.Stage, kind pipeline.ConditionKind) **pipeline.Condition {
	switch kind {
	case pipeline.BeforeEntry:
		return &s.BeforeEntry
	case pipeline.OnSuccess:
		return &s.OnSuccess
	}
	return &s.OnFailure
}

// condition reads the conditions of one kind, of which AWS has a list with one
// element. That of a failure says its result beside the list when it has no
// rules, and within it when it has.
func (r *reader) condition(raw json.RawMessage, kind pipeline.ConditionKind, path string) pipeline.Condition {
	o := r.object(raw, path)
	var c pipeline.Condition
	if kind == pipeline.OnFailure {
		c.Result = pipeline.ConditionResult(o.text("result"))
		if raw, ok := o.take("retryConfiguration"); ok {
			c.RetryMode = pipeline.RetryMode(r.object(raw, o.at("retryConfiguration")).text("retryMode"))
		}
	}
	for i, element := range o.list("conditions") {
		at := fmt.Sprintf("%s.conditions[%d]", path, i)
		if i > 0 {
			r.problem(at, "put the rules into one condition", "there can be one condition of a kind")
			break
		}
		inner := r.object(element, at)
		if result := inner.text("result"); c.Result == "" {
			c.Result = pipeline.ConditionResult(result)
		}
		for j, rule := range inner.list("rules") {
			c.Rules = append(c.Rules, r.rule(rule, fmt.Sprintf("%s.rules[%d]", at, j)))
		}
	}
	return c
}

func (r *reader) rule(raw json.RawMessage, path string) pipeline.Rule {
	o := r.object(raw, path)
	rule := pipeline.Rule{Name: o.text("name"), Timeout: o.number("timeoutInMinutes")}
	var foreign pipeline.Foreign
	rule.Type, foreign = r.actionType(o, "ruleTypeId")
	rule.Inputs, foreign = r.inputs(o, foreign)
	rule.Configuration, foreign = r.configuration(o, rule.Type, nil, foreign)
	rule.Foreign = merged(o.foreign(), foreign)
	return rule
}

func writeCondition(kind pipeline.ConditionKind, c pipeline.Condition) record {
	var out, inner record
	var rules []any
	for _, rule := range c.Rules {
		rules = append(rules, writeRule(rule))
	}
	if kind == pipeline.OnFailure {
		if len(rules) == 0 {
			out.add("result", string(c.Result))
		}
		if c.RetryMode != "" {
			out.add("retryConfiguration", record{{"retryMode", string(c.RetryMode)}})
		}
		if len(rules) == 0 {
			return out
		}
	}
	inner.add("result", string(c.Result))
	inner.add("rules", rules)
	out.add("conditions", []any{inner})
	return out
}

func writeRule(rule pipeline.Rule) record {
	var out record
	out.add("name", rule.Name)
	out.add("ruleTypeId", keptType(rule.Foreign, "ruleTypeId", rule.Type))
	texts, others := split(rule.Configuration, rule.Type)
	out.add("configuration", texts)
	out = append(out, others.without(filesPart)...)
	out.add("inputArtifacts", keptInputs(rule.Foreign, rule.Inputs))
	out.add("timeoutInMinutes", rule.Timeout)
	rest := merged(rule.Foreign)
	delete(rest, "inputArtifacts")
	out.addForeign(rest)
	return out
}
