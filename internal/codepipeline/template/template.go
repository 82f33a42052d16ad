// Package template evaluates CloudFormation templates as far as that is
// possible without an account: parameters, mappings, conditions and intrinsic
// functions. It knows nothing of pipelines. What only AWS could know becomes a
// named placeholder, and is listed with its place.
package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of what is read, against files that are made to be expensive.
const (
	maxSize  = 2 << 20
	maxDepth = 100
	// maxWork bounds the bytes that functions make, and the values, which count
	// as stepWork each: a template can double a text with each line.
	maxWork  = 8 << 20
	stepWork = 32
)

// Problem is one thing for which a template cannot be evaluated.
type Problem struct {
	Line, Column int // from 1; 0 when it is about no place
	Message      string
	Hint         string
}

func (p *Problem) Error() string {
	text := p.Message
	if p.Line > 0 {
		text = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Message)
	}
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// Unresolved is a value that only AWS could know.
type Unresolved struct {
	Path        string `json:"path"` // such as Resources.Pipeline.Properties.RoleArn
	Line        int    `json:"line"`
	Column      int    `json:"column"`
	Expression  string `json:"expression"`            // such as !GetAtt Role.Arn
	Placeholder string `json:"placeholder,omitempty"` // what stands in its place
	Why         string `json:"why"`
}

func (u Unresolved) String() string {
	text := fmt.Sprintf("line %d: %s: %s: %s", u.Line, u.Path, u.Expression, u.Why)
	if u.Placeholder != "" {
		text += fmt.Sprintf("; %s stands in its place", u.Placeholder)
	}
	return text
}

// Template is a template as it was written.
type Template struct{ root *node }

// Parse reads a template in YAML or JSON. Its errors are of type *Problem.
func Parse(text []byte) (*Template, error) {
	if len(text) > maxSize {
		return nil, &Problem{Message: fmt.Sprintf("the template has %d bytes, the most is %d", len(text), maxSize), Hint: "split it into nested stacks"}
	}
	root, err := read(text)
	if err != nil {
		return nil, err
	}
	t := &Template{root}
	if resources := root.get("Resources"); resources == nil || resources.kind != mapping {
		return nil, root.problem("add Resources with the pipeline among them", "this is no template: it has no Resources")
	}
	return t, nil
}

// Resources are the logical names of the resources of a type, in the order of
// the template.
func (t *Template) Resources(kind string) []string {
	var names []string
	resources := t.root.get("Resources")
	for _, name := range resources.keys {
		if typ := resources.get(name).get("Type"); typ != nil && typ.kind == scalar && typ.text == kind {
			names = append(names, name)
		}
	}
	return names
}

// Evaluate is the value of the properties of a resource. Parameters are given
// by name, those of AWS too, such as AWS::Region. An error is of type *Problem.
func (t *Template) Evaluate(resource string, parameters map[string]string) (Value, []Unresolved, error) {
	e, err := t.evaluator(parameters)
	if err != nil {
		return nil, nil, err
	}
	properties := t.root.get("Resources").get(resource).get("Properties")
	if properties == nil {
		return nil, nil, &Problem{Message: fmt.Sprintf("resource %s has no Properties", resource), Hint: "mend the template"}
	}
	var value Value
	err = e.guarded(func() { value = e.value(properties, "Resources."+resource+".Properties", 0) })
	return value, e.unresolved, err
}

func (t *Template) evaluator(given map[string]string) (*evaluator, error) {
	e := &evaluator{template: t, parameters: map[string]Value{}, deciding: map[string]bool{}, decided: map[string]decision{}}
	declared := t.root.get("Parameters")
	for name, value := range given {
		if strings.HasPrefix(name, "AWS::") {
			e.parameters[name] = Text(value)
			continue
		}
		if declared.get(name) == nil {
			return nil, &Problem{Message: fmt.Sprintf("the template has no parameter %q", name), Hint: "it has " + listed(declared.names())}
		}
	}
	for _, name := range declared.names() {
		if err := e.parameter(name, declared.get(name), given); err != nil {
			return nil, err
		}
	}
	for name, value := range map[string]string{"AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"} {
		if _, ok := e.parameters[name]; !ok {
			e.parameters[name] = Text(value)
		}
	}
	return e, nil
}

// parameter gives a parameter its value, when there is one.
func (e *evaluator) parameter(name string, n *node, given map[string]string) error {
	kind := n.get("Type").textOr("String")
	text, ok := given[name]
	if !ok {
		d := n.get("Default")
		if d == nil || d.kind != scalar || strings.HasPrefix(kind, "AWS::SSM::Parameter::Value<") {
			return nil // the default of these names a place where AWS keeps the value
		}
		text = d.text
	}
	if allowed := n.get("AllowedValues"); allowed != nil && allowed.kind == sequence {
		var values []string
		for _, v := range allowed.items {
			values = append(values, v.textOr(""))
		}
		if !slices.Contains(values, text) {
			return n.problem("choose one of "+listed(values), "parameter %s cannot be %q", name, text)
		}
	}
	if kind != "CommaDelimitedList" && !strings.HasPrefix(kind, "List<") {
		e.parameters[name] = Text(text)
		return nil
	}
	items := List{}
	for part := range strings.SplitSeq(text, ",") {
		items = append(items, Text(strings.TrimSpace(part)))
	}
	e.parameters[name] = items
	return nil
}

// guarded runs an evaluation, which gives up by way of a panic with a *Problem
// from deep within.
func (e *evaluator) guarded(run func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p, ok := r.(*Problem)
			if !ok {
				panic(r)
			}
			err = p
		}
	}()
	run()
	return nil
}

// AsProblem finds the Problem in an error.
func AsProblem(err error) (*Problem, bool) {
	var p *Problem
	ok := errors.As(err, &p)
	return p, ok
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
