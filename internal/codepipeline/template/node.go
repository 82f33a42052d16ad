package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

type kind int

const (
	scalar kind = iota
	sequence
	mapping
)

// node is a place of the template. Short tags of YAML have become the objects
// that they stand for: !Ref a is {Ref: a}.
type node struct {
	kind         kind
	line, column int
	text         string // of a scalar
	literal      bool   // a number, true, false or null, and not text
	items        []*node
	keys         []string // of a mapping, in their order
	values       map[string]*node
}

func (n *node) problem(hint, format string, args ...any) *Problem {
	return &Problem{Line: n.line, Column: n.column, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// get is a member of a mapping, else nil. A nil node has none.
func (n *node) get(key string) *node {
	if n == nil || n.kind != mapping {
		return nil
	}
	return n.values[key]
}

func (n *node) names() []string {
	if n == nil {
		return nil
	}
	return n.keys
}

func (n *node) textOr(other string) string {
	if n == nil || n.kind != scalar {
		return other
	}
	return n.text
}

func (n *node) put(key string, value *node) {
	if _, twice := n.values[key]; !twice {
		n.keys = append(n.keys, key)
	}
	n.values[key] = value
}

func read(text []byte) (*node, error) {
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		return readJSON(text)
	}
	return readYAML(text)
}

// yamlLine finds the line in the message of a YAML error, which has no field
// for it.
var yamlLine = regexp.MustCompile(`^yaml: (?:unmarshal errors:\s*)?line (\d+): (?s:(.*))$`)

func readYAML(text []byte) (*node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		return nil, &Problem{Line: 1, Column: 1, Message: "the template is empty", Hint: "begin with Resources:"}
	case err != nil:
		p := &Problem{Line: 1, Column: 1, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
		if parts := yamlLine.FindStringSubmatch(err.Error()); parts != nil {
			p.Line, _ = strconv.Atoi(parts[1])
			p.Message = parts[2]
		}
		return nil, p
	}
	return fromYAML(doc.Content[0], 0)
}

func fromYAML(y *yaml.Node, depth int) (*node, error) {
	n := &node{line: y.Line, column: y.Column}
	if depth > maxDepth {
		return nil, n.problem("", "the template is nested more than %d deep", maxDepth)
	}
	switch y.Kind {
	case yaml.ScalarNode:
		n.text = y.Value
		n.literal = y.Tag == "!!int" || y.Tag == "!!float" || y.Tag == "!!bool" || y.Tag == "!!null"
	case yaml.SequenceNode:
		n.kind = sequence
		for _, item := range y.Content {
			inner, err := fromYAML(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, inner)
		}
	case yaml.MappingNode:
		n.kind, n.values = mapping, map[string]*node{}
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			if key.Kind != yaml.ScalarNode {
				return nil, (&node{line: key.Line, column: key.Column}).problem("write a name", "a key must be text")
			}
			inner, err := fromYAML(y.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			n.put(key.Value, inner)
		}
	default:
		return nil, n.problem("write the value out", "CloudFormation has no aliases")
	}
	return tagged(n, y.Tag), nil
}

// tagged is what a short tag stands for.
func tagged(n *node, tag string) *node {
	name, ok := strings.CutPrefix(tag, "!")
	if !ok || name == "" || strings.HasPrefix(name, "!") {
		return n
	}
	if name != "Ref" && name != "Condition" {
		name = "Fn::" + name
	}
	n.literal = false
	outer := &node{kind: mapping, line: n.line, column: n.column, values: map[string]*node{}}
	outer.put(name, n)
	return outer
}

// readJSON reads a text that is JSON. It keeps the order of members and their
// places, which unmarshalling would lose.
func readJSON(text []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return fromJSON(d, text, 0)
}

func fromJSON(d *json.Decoder, text []byte, depth int) (*node, error) {
	token, err := d.Token()
	before := text[:min(int(d.InputOffset()), len(text))]
	n := &node{line: 1 + bytes.Count(before, []byte("\n")), column: len(before) - bytes.LastIndexByte(before, '\n') - 1}
	if err != nil {
		return nil, n.problem("", "%v", err)
	}
	if depth > maxDepth {
		return nil, n.problem("", "the template is nested more than %d deep", maxDepth)
	}
	switch v := token.(type) {
	case string:
		n.text = v
	case json.Number:
		n.text, n.literal = v.String(), true
	case bool:
		n.text, n.literal = strconv.FormatBool(v), true
	case nil:
		n.text, n.literal = "null", true
	case json.Delim:
		if v == '[' {
			n.kind = sequence
		} else {
			n.kind, n.values = mapping, map[string]*node{}
		}
		for d.More() {
			key := ""
			if n.kind == mapping {
				name, err := d.Token()
				if err != nil {
					return nil, n.problem("", "%v", err)
				}
				key, _ = name.(string)
			}
			inner, err := fromJSON(d, text, depth+1)
			if err != nil {
				return nil, err
			}
			if n.kind == mapping {
				n.put(key, inner)
			} else {
				n.items = append(n.items, inner)
			}
		}
		if _, err := d.Token(); err != nil {
			return nil, n.problem("", "%v", err)
		}
	}
	return n, nil
}

// expression shows an intrinsic function as people write it in YAML.
func expression(n *node) string {
	if n.kind == mapping && len(n.keys) == 1 {
		name := strings.TrimPrefix(n.keys[0], "Fn::")
		return "!" + name + " " + argument(n.values[n.keys[0]])
	}
	return argument(n)
}

func argument(n *node) string {
	const most = 60
	text := "..."
	switch n.kind {
	case scalar:
		text = n.text
	case sequence:
		if !slices.ContainsFunc(n.items, func(i *node) bool { return i.kind != scalar }) {
			var parts []string
			for _, i := range n.items {
				parts = append(parts, i.text)
			}
			text = "[" + strings.Join(parts, ", ") + "]"
		}
	}
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return strings.ReplaceAll(text, "\n", " ")
}
