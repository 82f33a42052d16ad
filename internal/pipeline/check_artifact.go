package pipeline

import (
	"fmt"
	"slices"
)

// place is where in the flow of an execution something stands: a stage, and
// within it the run order of an action. The conditions of a stage stand before
// and after all of its actions.
type place struct{ stage, order int }

const (
	orderEntry = 0
	orderExit  = mostRunOrder + 1
)

// before tells that what stands at p has ended when what stands at q begins.
func (p place) before(q place) bool {
	return p.stage < q.stage || p.stage == q.stage && p.order < q.order
}

// order is where the condition of a kind stands in its stage.
func (k ConditionKind) order() int {
	if k == BeforeEntry {
		return orderEntry
	}
	return orderExit
}

// maker is the action that makes an artifact.
type maker struct {
	place
	about string
}

// artifacts checks that what goes in has come out before.
func (c *checker) artifacts() {
	made := c.made()
	c.walk(func(at place, path string, a Action) {
		c.inputs(at, path+".inputs", c.about(at, a), a.Inputs, made, InvalidAction)
	}, func(at place, path string, _ ConditionKind, r Rule) {
		c.inputs(at, path+".inputs", fmt.Sprintf("rule %s of stage %s", quote(r.Name), quote(c.pipeline.Stages[at.stage].Name)), r.Inputs, made, InvalidStage)
	})
}

// made finds who makes each artifact, and those that are made twice: the later
// one would take the place of the earlier one in silence.
func (c *checker) made() map[string]maker {
	made := map[string]maker{}
	c.walk(func(at place, path string, a Action) {
		about := c.about(at, a)
		for i, name := range a.Outputs[:min(len(a.Outputs), mostArtifacts)] {
			here := fmt.Sprintf("%s.outputs[%d]", path, i)
			if !artifactName.MatchString(name) {
				c.wrong(here, InvalidAction, "use up to 100 letters, digits and - _", "%s is not the name of an artifact", quote(name))
			}
			if first, twice := made[name]; twice {
				c.wrong(here, InvalidAction, "choose another name", "%s makes artifact %s, which %s makes too", about, quote(name), first.about)
				continue
			}
			made[name] = maker{at, about}
		}
	}, nil)
	return made
}

func (c *checker) inputs(at place, path, about string, inputs []string, made map[string]maker, exception Exception) {
	for i, name := range inputs[:min(len(inputs), mostArtifacts)] {
		if c.full() {
			return
		}
		here := fmt.Sprintf("%s[%d]", path, i)
		from, ok := made[name]
		switch {
		case !ok:
			c.wrong(here, exception, "the artifacts there are: "+listed(madeBefore(at, made)), "%s takes artifact %s, which nothing makes", about, quote(name))
		case !from.before(at):
			c.wrong(here, exception, "give "+from.about+" a lower runOrder or an earlier stage", "%s takes artifact %s, which is made by %s, not before it", about, quote(name), from.about)
		case slices.Contains(inputs[:i], name):
			c.wrong(here, exception, "name it once", "%s takes artifact %s twice", about, quote(name))
		}
	}
}

// madeBefore are the names of the artifacts that are there at a place.
func madeBefore(at place, made map[string]maker) []string {
	var names []string
	for name, from := range made {
		if from.before(at) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// about is an action as problems speak of it.
func (c *checker) about(at place, a Action) string {
	return fmt.Sprintf("action %s of stage %s", quote(a.Name), quote(c.pipeline.Stages[at.stage].Name))
}

// walk visits each action and each rule with its place and its path. Either
// function may be nil.
func (c *checker) walk(action func(place, string, Action), rule func(place, string, ConditionKind, Rule)) {
	for i, s := range c.pipeline.Stages {
		path := fmt.Sprintf("stages[%d]", i)
		for j, a := range s.Actions {
			if action != nil {
				action(place{i, a.RunOrder}, fmt.Sprintf("%s.actions[%d]", path, j), a)
			}
		}
		for _, kind := range []ConditionKind{BeforeEntry, OnSuccess, OnFailure} {
			condition := s.Condition(kind)
			if condition == nil || rule == nil {
				continue
			}
			for j, r := range condition.Rules {
				rule(place{i, kind.order()}, fmt.Sprintf("%s.%s.rules[%d]", path, member(kind), j), kind, r)
			}
		}
	}
}
