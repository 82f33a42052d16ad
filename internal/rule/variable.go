package rule

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// VariableCheck is the rule VariableCheck: it succeeds when a variable is what
// it should be. It decides from its configuration alone.
type VariableCheck struct{}

// Run compares. The engine has put the value in the place of the variable.
func (VariableCheck) Run(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
	var check pipeline.VariableCheck
	if err := decode(job, &check); err != nil {
		return pipeline.Result{}, err
	}
	ok, err := holds(check)
	if err != nil {
		return pipeline.Fail("rule %s: %v", job.Action.Name, err), nil
	}
	asked := name(job) + " " + words(check.Operator) + " " + quote(check.Value)
	if !ok {
		return pipeline.Fail("rule %s wants that %s, but it is %s", job.Action.Name, asked, quote(check.Variable)), nil
	}
	fmt.Fprintf(job.Log, "%s\n", asked)
	return pipeline.Result{Outcome: pipeline.Succeeded, Summary: asked}, nil
}

// holds is what CodePipeline's operators mean. MATCHES is about the whole
// value, as matches() is in the Java whose expressions CodePipeline takes.
func holds(c pipeline.VariableCheck) (bool, error) {
	switch c.Operator {
	case pipeline.OperatorEquals:
		return c.Variable == c.Value, nil
	case pipeline.OperatorNotEquals:
		return c.Variable != c.Value, nil
	case pipeline.OperatorContains:
		return strings.Contains(c.Variable, c.Value), nil
	case pipeline.OperatorMatches:
		return matches(c.Value, c.Variable)
	}
	return false, fmt.Errorf("there is no operator %q: choose EQ, NE, CONTAINS or MATCHES", c.Operator)
}

func matches(text, value string) (bool, error) {
	if _, err := regexp.Compile(text); err != nil {
		return false, fmt.Errorf("%s is no regular expression that can be used here (RE2 has no look-around and no back-references): %w", quote(text), err)
	}
	// It is whole by itself, so it cannot close this group before its end.
	whole, err := regexp.Compile(`\A(?:` + text + `)\z`)
	if err != nil {
		return false, err
	}
	return whole.MatchString(value), nil
}

// name is what the definition calls the variable.
func name(job pipeline.Job) string {
	var check pipeline.VariableCheck
	definition := job
	definition.Configuration = job.Action.Configuration
	if decode(definition, &check) != nil || check.Variable == "" {
		return "the variable"
	}
	return check.Variable
}

func words(operator string) string {
	switch operator {
	case pipeline.OperatorNotEquals:
		return "is not"
	case pipeline.OperatorContains:
		return "contains"
	case pipeline.OperatorMatches:
		return "matches"
	}
	return "is"
}

// quote keeps a value on one line, and short.
func quote(value string) string {
	const most = 100
	if short := []rune(value); len(short) > most {
		value = string(short[:most]) + "..."
	}
	return fmt.Sprintf("%q", value)
}
