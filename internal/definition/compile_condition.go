package definition

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/timetable"
)

// What the words of conditions mean, and which each kind of condition knows.
var (
	failResult     = meaning[pipeline.ConditionResult]{"fail", pipeline.ResultFail}
	skipResult     = meaning[pipeline.ConditionResult]{"skip", pipeline.ResultSkip}
	rollbackResult = meaning[pipeline.ConditionResult]{"rollback", pipeline.ResultRollback}
	retryResult    = meaning[pipeline.ConditionResult]{"retry", pipeline.ResultRetry}

	entryResults   = []meaning[pipeline.ConditionResult]{failResult, skipResult}
	successResults = []meaning[pipeline.ConditionResult]{failResult, rollbackResult}
	failureResults = []meaning[pipeline.ConditionResult]{rollbackResult, retryResult, failResult, skipResult}

	retryModes = []meaning[pipeline.RetryMode]{{"failed", pipeline.RetryFailedActions}, {"all", pipeline.RetryAllActions}}
	operators  = []meaning[string]{
		{"equals", pipeline.OperatorEquals}, {"notEquals", pipeline.OperatorNotEquals},
		{"contains", pipeline.OperatorContains}, {"matches", pipeline.OperatorMatches},
	}
)

func (c *compiler) condition(written *condition, at string, results []meaning[pipeline.ConditionResult]) *pipeline.Condition {
	if written == nil {
		return nil
	}
	return &pipeline.Condition{Result: pick(c, at+".else", written.Else, results), Rules: c.rules(written.Rules, at)}
}

func (c *compiler) onFailure(written *onFailure, at string) *pipeline.Condition {
	if written == nil {
		return nil
	}
	out := &pipeline.Condition{
		Result: pick(c, at+".else", written.Else, failureResults), RetryMode: pick(c, at+".retry", written.Retry, retryModes),
		Rules: c.rules(written.Rules, at),
	}
	if written.Retry != "" && written.Else == "" {
		out.Result = pipeline.ResultRetry
	}
	if out.RetryMode != "" && out.Result != pipeline.ResultRetry {
		c.problem(at+".retry", "drop one of the two", "retry goes with else: retry")
	}
	return out
}

func (c *compiler) rules(written []rule, at string) []pipeline.Rule {
	var all []pipeline.Rule
	for i, r := range written {
		out := c.rule(r, fmt.Sprintf("%s.rules[%d]", at, i))
		if r.Name == "" {
			out.Name = defaultName(written, i)
		}
		all = append(all, out)
	}
	return all
}

// defaultName is the key of a rule, and a number from the second of its kind.
func defaultName(rules []rule, i int) string {
	key, nth := rules[i].key(), 1
	for _, r := range rules[:i] {
		if r.key() == key {
			nth++
		}
	}
	if nth == 1 {
		return key
	}
	return fmt.Sprintf("%s-%d", key, nth)
}

// key is what the rule asks, or "rule" when it does not say.
func (r rule) key() string {
	if kinds := r.kinds(); len(kinds) == 1 {
		return kinds[0]
	}
	return "rule"
}

func (r rule) kinds() []string {
	var kinds []string
	for kind, given := range map[string]bool{
		"variable": r.Variable != nil, "window": r.Window != nil, "commands": r.Commands != nil, "invoke": r.Invoke != nil, "rule": r.Rule != nil,
	} {
		if given {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func (c *compiler) rule(r rule, at string) pipeline.Rule {
	out := pipeline.Rule{Name: r.Name, Inputs: r.Inputs, Timeout: c.minutes(at+".timeout", r.Timeout), Foreign: foreign(r.AWS)}
	kinds := r.kinds()
	switch len(kinds) {
	case 0:
		c.problem(at, "add one of variable, window, commands, invoke, rule", "the rule does not say what it asks")
	case 1:
		c.question(r, at, &out)
		here := at + "." + kinds[0]
		if r.Rule != nil {
			here += ".configuration"
		}
		c.references(here, out.Configuration)
	default:
		c.problem(at, "make a rule of each", "the rule asks %s at once", strings.Join(kinds, " and "))
	}
	return out
}

// question fills in what the rule asks.
func (c *compiler) question(r rule, at string, out *pipeline.Rule) {
	switch {
	case r.Variable != nil:
		out.Type = aws(pipeline.CategoryRule, "VariableCheck")
		v := pipeline.VariableCheck{Operator: pick(c, at+".variable.operator", r.Variable.Operator, operators), Value: r.Variable.Value, Variable: r.Variable.Name}
		if v.Operator == "" {
			v.Operator = pipeline.OperatorEquals
		}
		if v.Variable == "" || v.Value == "" {
			c.problem(at+".variable", `write variable: {name: "#{variables.NAME}", value: VALUE}`, "the rule has no name or no value")
		}
		out.Configuration = encode(v)
	case r.Window != nil:
		out.Type = aws(pipeline.CategoryRule, "DeploymentWindow")
		w := pipeline.DeploymentWindow{TimeZone: r.Window.TimeZone}
		c.times(at+".window", w.TimeZone, func() (err error) {
			if w.Cron, err = timetable.Window(r.Window.Cron); err == nil {
				_, err = timetable.Parse(w.Cron, w.TimeZone)
			}
			return err
		})
		out.Configuration = encode(w)
	case r.Commands != nil:
		out.Type = aws(pipeline.CategoryRule, "Commands")
		if len(r.Commands) == 0 {
			c.problem(at+".commands", "add a command", "there are no commands")
		}
		out.Configuration = encode(pipeline.Build{Commands: r.Commands})
	case r.Invoke != nil:
		out.Type = aws(pipeline.CategoryRule, "LambdaInvoke")
		out.Configuration = c.invoke(at+".invoke", *r.Invoke, "rule")
	case r.Rule != nil:
		out.Type, out.Configuration = c.typed(at+".rule", pipeline.CategoryRule, *r.Rule)
	}
}
