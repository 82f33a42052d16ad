package pipeline

import (
	"fmt"
	"slices"
)

// mostRules is how many rules a condition may have.
const mostRules = 5

// skipping are the rules that may let a stage be skipped.
var skipping = []string{"LambdaInvoke", "VariableCheck"}

// results are what may follow from each kind of condition.
var results = map[ConditionKind][]string{
	BeforeEntry: {string(ResultFail), string(ResultSkip)},
	OnSuccess:   {string(ResultFail), string(ResultRollback)},
	OnFailure:   {string(ResultFail), string(ResultRollback), string(ResultRetry), string(ResultSkip)},
}

// member is what the JSON form calls a condition.
func member(kind ConditionKind) string {
	switch kind {
	case BeforeEntry:
		return "beforeEntry"
	case OnSuccess:
		return "onSuccess"
	}
	return "onFailure"
}

func (c *checker) condition(stage int, s Stage, kind ConditionKind, condition Condition, at string) {
	about := fmt.Sprintf("condition %s of stage %s", member(kind), quote(s.Name))
	if allowed := results[kind]; condition.Result != "" && !slices.Contains(allowed, string(condition.Result)) {
		c.wrong(at+".result", InvalidStage, "choose "+orList(allowed), "%s cannot lead to %s", about, quote(string(condition.Result)))
	}
	c.oneOf(at+".retryMode", string(condition.RetryMode), InvalidStage, string(RetryFailedActions), string(RetryAllActions))
	if condition.Result == ResultRollback {
		switch {
		case stage == 0:
			c.wrong(at+".result", InvalidStage, "choose another result", "%s cannot roll back the stage of the sources", about)
		case c.pipeline.Mode == ModeParallel:
			c.wrong(at+".result", InvalidStage, "choose another result, or another execution mode", "%s cannot roll back where executions run in parallel", about)
		}
	}
	if len(condition.Rules) == 0 && kind != OnFailure {
		c.wrong(at+".rules", InvalidStage, "add a rule or remove the condition", "%s has no rules", about)
	}
	seen := map[string]bool{}
	for i, r := range condition.Rules {
		here := fmt.Sprintf("%s.rules[%d]", at, i)
		if i == mostRules {
			c.wrong(here, InvalidStage, "remove some", "rule %s is the %s of %s; a condition has at most %d", quote(r.Name), ordinal(i+1), about, mostRules)
		}
		c.rule(r, seen, condition.Result, about, here)
		seen[r.Name] = true
	}
}

func (c *checker) rule(r Rule, seen map[string]bool, result ConditionResult, about, at string) {
	c.name(at+".name", "rule", r.Name, InvalidStage)
	if seen[r.Name] && r.Name != "" {
		c.wrong(at+".name", InvalidStage, "choose another name", "the name of rule %s is taken in %s", quote(r.Name), about)
	}
	rule := fmt.Sprintf("rule %s of %s", quote(r.Name), about)
	before := len(c.found)
	c.actionType(r.Type, rule, at+".type", []string{string(CategoryRule)})
	for i := range c.found[before:] {
		c.found[before+i].Exception = InvalidStage
	}
	c.rest(r.Timeout, r.Configuration, rule, at, InvalidStage)
	if len(r.Inputs) > mostArtifacts {
		c.wrong(fmt.Sprintf("%s.inputs[%d]", at, mostArtifacts), InvalidStage, "put files together in one artifact", "%s has %d inputs; a rule has at most %d", rule, len(r.Inputs), mostArtifacts)
	}
	if result == ResultSkip && !slices.Contains(skipping, r.Type.Provider) {
		c.wrong(at+".type.provider", InvalidStage, "use "+orList(skipping)+", or choose another result", "%s is a %s, which cannot let a stage be skipped", rule, r.Type.Provider)
	}
}
