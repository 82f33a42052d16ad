package codepipeline

import (
	"encoding/json"
	"regexp"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// Some of what AWS wants said goes without saying here: the namespace of an
// action to which somebody refers, the type of a pipeline that uses what only
// V2 has, the source of a trigger. imply leaves it out of what comes in and
// spelledOut says it in what goes out, each by the same rule, so that neither
// way changes anything.

// references are the namespaces of the variables in a text.
var references = regexp.MustCompile(`#\{([A-Za-z0-9@_-]+)\.[A-Za-z0-9@_.-]+\}`)

func imply(p *pipeline.Pipeline) {
	if string(p.Foreign["roleArn"]) == string(quote(roleARN)) {
		delete(p.Foreign, "roleArn")
	}
	if string(p.Foreign["pipelineType"]) == `"V2"` && needsV2(*p) {
		delete(p.Foreign, "pipelineType")
	}
	if len(p.Foreign) == 0 {
		p.Foreign = nil
	}
	referred, bearers := referredTo(*p), map[string]int{}
	for _, s := range p.Stages {
		for _, a := range s.Actions {
			bearers[a.Name]++
			if a.Namespace != a.Name {
				bearers[a.Namespace]++
			}
		}
	}
	for i := range p.Stages {
		for j := range p.Stages[i].Actions {
			if a := &p.Stages[i].Actions[j]; a.Namespace == a.Name && referred[a.Name] && bearers[a.Name] == 1 {
				a.Namespace = ""
			}
		}
	}
	takeSchedule(p)
}

// spelledOut is a copy that says what AWS wants said.
func spelledOut(p pipeline.Pipeline) pipeline.Pipeline {
	p.Foreign = merged(p.Foreign)
	if _, ok := p.Foreign["roleArn"]; !ok {
		p.Foreign = with(p.Foreign, "roleArn", quote(roleARN))
	}
	if _, ok := p.Foreign["pipelineType"]; !ok && needsV2(p) {
		p.Foreign = with(p.Foreign, "pipelineType", quote("V2"))
	}
	referred := referredTo(p)
	given := map[string]bool{}
	p.Stages = slices.Clone(p.Stages)
	for i := range p.Stages {
		p.Stages[i].Actions = slices.Clone(p.Stages[i].Actions)
		for _, a := range p.Stages[i].Actions {
			given[a.Namespace] = true
		}
	}
	for i := range p.Stages {
		for j := range p.Stages[i].Actions {
			if a := &p.Stages[i].Actions[j]; a.Namespace == "" && referred[a.Name] && !given[a.Name] {
				a.Namespace, given[a.Name] = a.Name, true
			}
		}
	}
	putSchedule(&p)
	return p
}

// needsV2 tells whether a pipeline uses what AWS has in type V2 alone.
func needsV2(p pipeline.Pipeline) bool {
	if len(p.Variables)+len(p.On.Push)+len(p.On.PullRequest) > 0 || p.Mode == pipeline.ModeQueued || p.Mode == pipeline.ModeParallel {
		return true
	}
	return slices.ContainsFunc(p.Stages, func(s pipeline.Stage) bool {
		return s.BeforeEntry != nil || s.OnSuccess != nil || s.OnFailure != nil
	})
}

// referredTo are the namespaces that the configurations refer to.
func referredTo(p pipeline.Pipeline) map[string]bool {
	found := map[string]bool{}
	look := func(configuration json.RawMessage) {
		for _, parts := range references.FindAllSubmatch(canonical(configuration), -1) {
			found[string(parts[1])] = true
		}
	}
	for _, s := range p.Stages {
		for _, a := range s.Actions {
			look(a.Configuration)
		}
		for _, kind := range kinds {
			if c := s.Condition(kind); c != nil {
				for _, rule := range c.Rules {
					look(rule.Configuration)
				}
			}
		}
	}
	return found
}

// takeSchedule finds the schedules that putSchedule has put away.
func takeSchedule(p *pipeline.Pipeline) {
	if firstSource(*p) == "" {
		return
	}
	a := &p.Stages[0].Actions[0]
	var values map[string]json.RawMessage
	if json.Unmarshal(a.Configuration, &values) != nil {
		return
	}
	var schedule []pipeline.Schedule
	text := scheduleText(a.Type, values[scheduleKey])
	if json.Unmarshal([]byte(text), &schedule) != nil || len(schedule) == 0 {
		return
	}
	if again, err := encode(schedule); err != nil || string(canonical(again)) != text {
		return
	}
	delete(values, scheduleKey)
	p.On.Schedule, a.Configuration = schedule, nil
	if len(values) > 0 {
		a.Configuration, _ = encode(values)
	}
}

// scheduleText is what AWS's form has under the key.
func scheduleText(t pipeline.ActionType, raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	return encodeValue(t, scheduleKey, raw)
}

func putSchedule(p *pipeline.Pipeline) {
	if len(p.On.Schedule) == 0 || firstSource(*p) == "" {
		return
	}
	a := &p.Stages[0].Actions[0]
	values := map[string]json.RawMessage{}
	if len(a.Configuration) > 0 && json.Unmarshal(a.Configuration, &values) != nil {
		return
	}
	raw, err := encode(p.On.Schedule)
	if err != nil {
		return
	}
	values[scheduleKey] = decodeValue(a.Type, scheduleKey, string(canonical(raw)))
	if again, err := encode(values); err == nil {
		a.Configuration = again
	}
}
