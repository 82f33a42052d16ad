package codepipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/towline/towline/internal/pipeline"
)

// Leftover is a part of a definition that the other side has no use for.
type Leftover struct {
	Path string `json:"path"` // such as stages[1].actions[0].roleArn
	Why  string `json:"why"`
}

func (l Leftover) String() string { return l.Path + ": " + l.Why }

// reasons say why Towline has no use for what is foreign.
var reasons = map[string]string{
	"roleArn":                        "Towline acts under no role of AWS's",
	"artifactStore":                  "Towline keeps artifacts in its own store",
	"artifactStores":                 "Towline keeps artifacts in its own store",
	"pipelineType":                   "all that Towline has is there for pipelines of both types",
	"region":                         "Towline's actions run in no region",
	"blockers":                       "AWS keeps them for later use",
	"disableInboundStageTransitions": "close a transition with towline transition disable",
	"restartExecutionOnUpdate":       "a new definition starts no execution",
	"metadata":                       "Towline keeps its own times",
	"tags":                           "tags belong to the pipeline and not to its definition",
}

// Leftovers names what a definition carries without use: what AWS's form said
// and Towline has no word for. It comes out again on the way back.
func Leftovers(p pipeline.Pipeline) []Leftover {
	found := foreign("", p.Foreign)
	for i, s := range p.Stages {
		at := fmt.Sprintf("stages[%d]", i)
		found = append(found, foreign(at, s.Foreign)...)
		for j, a := range s.Actions {
			found = append(found, foreign(fmt.Sprintf("%s.actions[%d]", at, j), a.Foreign)...)
		}
		for _, kind := range kinds {
			if c := s.Condition(kind); c != nil {
				for j, rule := range c.Rules {
					found = append(found, foreign(fmt.Sprintf("%s.%s.conditions[0].rules[%d]", at, conditionMember(kind), j), rule.Foreign)...)
				}
			}
		}
	}
	return found
}

// Leftovers names what stands around the definition as well.
func (d Document) Leftovers() []Leftover {
	return append(foreign("", d.Around), Leftovers(d.Pipeline)...)
}

func foreign(at string, f pipeline.Foreign) []Leftover {
	var found []Leftover
	for _, name := range slices.Sorted(maps.Keys(f)) {
		why, ok := reasons[name]
		if !ok {
			why = "Towline does not know it, or not all of it"
		}
		path := name
		if at != "" {
			path = at + "." + name
		}
		found = append(found, Leftover{Path: path, Why: why})
	}
	return found
}

// The limits of AWS's that Towline does not have.
const (
	mostFilters = 3
	mostValue   = 1000 // characters of a configuration's value
)

// Extensions names what AWS's form of a definition holds that AWS itself would
// refuse or not understand, none when it could be created there as it is.
func Extensions(p pipeline.Pipeline) []Leftover {
	var found []Leftover
	add := func(path, format string, args ...any) {
		found = append(found, Leftover{Path: path, Why: fmt.Sprintf(format, args...)})
	}
	if _, ok := p.Foreign["roleArn"]; !ok {
		add("roleArn", "AWS wants a role to act under; %s stands for one", roleARN)
	}
	_, one := p.Foreign["artifactStore"]
	if _, many := p.Foreign["artifactStores"]; !one && !many {
		add("artifactStore", "AWS wants a bucket for artifacts, and none is named")
	}
	if len(p.On.Schedule) > 0 {
		add("stages[0].actions[0].configuration."+scheduleKey, "AWS keeps schedules in EventBridge")
	}
	extendedTriggers(p, add)
	for i, s := range p.Stages {
		for j, a := range s.Actions {
			at := fmt.Sprintf("stages[%d].actions[%d]", i, j)
			if a.Type.Owner == owner {
				add(at+".actionTypeId", "%s is a type of Towline's own; towline pipeline convert --to cloudformation makes what AWS has of it", a.Type)
			}
			longValues(at, a.Configuration, a.Type, add)
		}
	}
	return found
}

func extendedTriggers(p pipeline.Pipeline, add func(path, format string, args ...any)) {
	kindsOf := map[string]pipeline.ActionType{}
	if len(p.Stages) > 0 {
		for _, a := range p.Stages[0].Actions {
			kindsOf[a.Name] = a.Type
		}
	}
	push, pulls := map[string]int{}, map[string]int{}
	for _, f := range p.On.Push {
		push[orFirst(f.Source, firstSource(p))]++
	}
	for _, f := range p.On.PullRequest {
		pulls[orFirst(f.Source, firstSource(p))]++
	}
	all := maps.Clone(push)
	maps.Copy(all, pulls)
	for _, source := range slices.Sorted(maps.Keys(all)) {
		if t := kindsOf[source]; t.Provider != provider && t.Owner != owner {
			add(memberTriggers, "AWS has triggers for %s alone; source %q is %s", provider, source, t)
		}
		if push[source] > mostFilters || pulls[source] > mostFilters {
			add(memberTriggers, "AWS takes %d filters of a kind for a source; %q has %d for pushes and %d for pull requests", mostFilters, source, push[source], pulls[source])
		}
	}
}

func longValues(at string, configuration json.RawMessage, t pipeline.ActionType, add func(path, format string, args ...any)) {
	texts, _ := split(configuration, t)
	for _, m := range texts {
		if text, ok := m.value.(string); ok && utf8.RuneCountInString(text) > mostValue {
			add(at+".configuration."+m.name, "it has more than the %d characters that AWS takes", mostValue)
		}
	}
}
