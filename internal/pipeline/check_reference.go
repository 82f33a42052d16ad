package pipeline

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The namespaces that no action can have.
const (
	ownNamespace       = "codepipeline"
	variablesNamespace = "variables"
	executionVariable  = "PipelineExecutionId"
)

// referenceLike is all that looks like a variable, also when it is not one.
var referenceLike = regexp.MustCompile(`#\{[^{}]*\}`)

// spring is an action from which variables come.
type spring struct {
	place
	name     string // "Stage/Action", which is unique
	about    string
	explicit bool     // its namespace was given, and is not merely its name
	wants    []string // namespaces that its configuration refers to
}

// references checks that each #{namespace.name} has its value by the time that
// it is needed.
func (c *checker) references() {
	springs := c.springs()
	c.walk(func(at place, path string, a Action) {
		about := c.about(at, a)
		for _, text := range referencesIn(a.Configuration) {
			c.reference(at, path+".configuration", about, c.pipeline.Stages[at.stage].Name+"/"+a.Name, text, springs, InvalidAction)
		}
	}, func(at place, path string, kind ConditionKind, r Rule) {
		about := fmt.Sprintf("rule %s of condition %s of stage %s", quote(r.Name), member(kind), quote(c.pipeline.Stages[at.stage].Name))
		for _, text := range referencesIn(r.Configuration) {
			c.reference(at, path+".configuration", about, "", text, springs, InvalidStage)
		}
	})
}

// springs are the actions by their namespace. One that was given may be used
// once; names of actions may be the same in different stages, as long as nobody
// refers to them.
func (c *checker) springs() map[string][]spring {
	springs := map[string][]spring{}
	c.walk(func(at place, path string, a Action) {
		stage := c.pipeline.Stages[at.stage].Name
		s := spring{place: at, name: stage + "/" + a.Name, about: c.about(at, a), explicit: a.Namespace != ""}
		for _, text := range referencesIn(a.Configuration) {
			if parts := reference.FindStringSubmatch(text); parts != nil {
				s.wants = append(s.wants, parts[1])
			}
		}
		namespace := cmp.Or(a.Namespace, a.Name)
		if namespace == ownNamespace || namespace == variablesNamespace {
			c.wrong(path+".namespace", InvalidAction, "give it another namespace", "%s has the namespace %s, which is not for actions", s.about, quote(namespace))
			return
		}
		taken := slices.IndexFunc(springs[namespace], func(other spring) bool { return other.explicit })
		if s.explicit && taken >= 0 {
			c.wrong(path+".namespace", InvalidAction, "choose another one", "%s has the namespace %s, which %s has too", s.about, quote(namespace), springs[namespace][taken].about)
			return
		}
		springs[namespace] = append(springs[namespace], s)
	}, nil)
	return springs
}

func (c *checker) reference(at place, path, about, name, text string, springs map[string][]spring, exception Exception) {
	if c.full() {
		return
	}
	parts := reference.FindStringSubmatch(text)
	if parts == nil || parts[0] != text {
		c.wrong(path, exception, "write #{namespace.name}", "%s has %s, which is not a variable", about, quote(text))
		return
	}
	namespace, variable := parts[1], parts[2]
	switch namespace {
	case ownNamespace:
		if variable != executionVariable {
			c.wrong(path, exception, "use #{codepipeline."+executionVariable+"}", "%s has %s, which there is not", about, text)
		}
		return
	case variablesNamespace:
		if !slices.ContainsFunc(c.pipeline.Variables, func(v Variable) bool { return v.Name == variable }) {
			c.wrong(path, exception, "declare it; the variables are "+listed(c.declared()), "%s has %s, which the pipeline does not declare", about, text)
		}
		return
	}
	found := springs[namespace]
	switch {
	case len(found) == 0:
		c.wrong(path, exception, "the namespaces there are: "+listed(namespacesBefore(at, springs)), "%s has %s, which refers to no action", about, text)
	case len(found) > 1:
		c.wrong(path, exception, "give each its own namespace", "%s has %s, which could be of %s or of %s", about, text, found[0].about, found[1].about)
	case found[0].name == name:
		c.wrong(path, exception, "take the value from an earlier action", "%s has %s, which is its own", about, text)
	case !found[0].before(at) && name != "" && leadsTo(found[0], name, springs):
		c.wrong(path, exception, "let one of the two take its value from elsewhere", "%s has %s, and %s in turn waits for a variable of it: they refer to each other in a circle", about, text, found[0].about)
	case !found[0].before(at):
		c.wrong(path, exception, "give "+found[0].about+" a lower runOrder or an earlier stage", "%s has %s of %s, which does not run before it", about, text, found[0].about)
	}
}

// leadsTo tells whether an action refers, directly or by way of others, to the
// action of that name.
func leadsTo(from spring, name string, springs map[string][]spring) bool {
	seen := map[string]bool{from.name: true}
	for next := []spring{from}; len(next) > 0; next = next[1:] {
		for _, namespace := range next[0].wants {
			for _, s := range springs[namespace] {
				if s.name == name {
					return true
				}
				if !seen[s.name] {
					seen[s.name] = true
					next = append(next, s)
				}
			}
		}
	}
	return false
}

func (c *checker) declared() []string {
	var names []string
	for _, v := range c.pipeline.Variables {
		names = append(names, v.Name)
	}
	return names
}

// namespacesBefore are the namespaces that have values at a place.
func namespacesBefore(at place, springs map[string][]spring) []string {
	names := []string{ownNamespace}
	for namespace, all := range springs {
		if slices.ContainsFunc(all, func(s spring) bool { return s.before(at) }) {
			names = append(names, namespace)
		}
	}
	slices.Sort(names)
	return names
}

// referencesIn are the variables in the strings of a JSON document, each once,
// and what looks like one. A document that cannot be read has none.
func referencesIn(configuration json.RawMessage) []string {
	var doc any
	if len(configuration) == 0 || !strings.Contains(string(configuration), "#") || json.Unmarshal(configuration, &doc) != nil {
		return nil
	}
	var found []string
	collectReferences(doc, &found)
	slices.Sort(found)
	return slices.Compact(found)
}

func collectReferences(value any, found *[]string) {
	switch v := value.(type) {
	case string:
		*found = append(*found, referenceLike.FindAllString(v, -1)...)
	case []any:
		for _, inner := range v {
			collectReferences(inner, found)
		}
	case map[string]any:
		for _, inner := range v {
			collectReferences(inner, found)
		}
	}
}
