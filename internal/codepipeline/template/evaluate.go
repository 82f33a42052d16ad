package template

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// evaluator evaluates one template with one set of parameters.
type evaluator struct {
	template   *Template
	parameters map[string]Value
	deciding   map[string]bool
	decided    map[string]decision
	unresolved []Unresolved
	work       int
}

// spend counts work and gives up when there is too much of it.
func (e *evaluator) spend(n *node, amount int) {
	if e.work += amount + stepWork; e.work > maxWork {
		panic(n.problem("", "the template grows too large when it is evaluated"))
	}
}

// value evaluates a node at a path of the template.
func (e *evaluator) value(n *node, path string, depth int) Value {
	e.spend(n, len(n.text))
	if depth > maxDepth {
		panic(n.problem("", "functions call each other more than %d deep", maxDepth))
	}
	switch n.kind {
	case scalar:
		return e.scalar(n, path)
	case sequence:
		list := List{}
		for i, item := range n.items {
			if v := e.value(item, fmt.Sprintf("%s[%d]", path, i), depth+1); v != nil {
				list = append(list, v)
			}
		}
		return list
	}
	if len(n.keys) == 1 {
		if v, ok := e.function(n.keys[0], call{n: n, argument: n.values[n.keys[0]], path: path, depth: depth + 1}); ok {
			return v
		}
	}
	object := &Object{Values: map[string]Value{}}
	for _, key := range n.keys {
		object.put(key, e.value(n.values[key], path+"."+key, depth+1))
	}
	return object
}

// dynamic is a reference to a value in Secrets Manager or in the Parameter
// Store, which CloudFormation puts in at the very end.
var dynamic = regexp.MustCompile(`\{\{resolve:[^}]*\}\}`)

func (e *evaluator) scalar(n *node, path string) Value {
	if n.literal {
		return Literal(n.text)
	}
	if found := dynamic.FindString(n.text); found != "" {
		e.note(n, path, found, "", "AWS puts the value in when it creates the stack")
	}
	return Text(n.text)
}

// unknown is the placeholder for what cannot be known, and a note of it. A
// second note of the same place is not made.
func (e *evaluator) unknown(n *node, path, name, why string) Value {
	shown := expression(n)
	if name == "" {
		name = strings.TrimPrefix(shown, "!")
		name = strings.Map(func(r rune) rune {
			if strings.ContainsRune("${}\n", r) {
				return -1
			}
			return r
		}, name)
	}
	placeholder := "${" + name + "}"
	e.note(n, path, shown, placeholder, why)
	return Text(placeholder)
}

func (e *evaluator) note(n *node, path, shown, placeholder, why string) {
	u := Unresolved{Path: path, Line: n.line, Column: n.column, Expression: shown, Placeholder: placeholder, Why: why}
	if slices.Contains(e.unresolved, u) {
		return
	}
	e.spend(n, len(e.unresolved)+len(path))
	e.unresolved = append(e.unresolved, u)
}
