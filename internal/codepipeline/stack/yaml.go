package stack

import (
	"encoding/json"
	"regexp"
	"strconv"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A template is built of objects, lists, texts and tags.

// object has its members in their order.
type object []pair

type pair struct {
	name  string
	value any
}

type list []any

// tag is a function of CloudFormation in its short form.
type tag struct{ name, text string }

func ref(name string) tag  { return tag{"!Ref", name} }
func sub(text string) tag  { return tag{"!Sub", text} }
func attr(name string) tag { return tag{"!GetAtt", name} }

// unlike are texts that an older YAML, such as CloudFormation's, would take for
// something else than text.
var unlike = regexp.MustCompile(`^([-+.]?[0-9].*|(?i:y|n|yes|no|on|off))$`)

func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if unlike.MatchString(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// node is a value as YAML.
func (x *exporter) node(value any) *yaml.Node {
	switch v := value.(type) {
	case *yaml.Node:
		return v
	case object:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, p := range v {
			n.Content = append(n.Content, text(p.name), x.node(p.value))
		}
		return n
	case list:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range v {
			n.Content = append(n.Content, x.node(item))
		}
		return n
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range v {
			n.Content = append(n.Content, x.node(item))
		}
		return n
	case tag:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: v.name, Value: v.text}
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(v)}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case string:
		if t, ok := x.tagged[v]; ok {
			return x.node(t)
		}
		return text(v)
	}
	return text("")
}

// raised reads a JSON value that stands under the name in. Its names get
// capital letters, but for those of a configuration, which are what they are.
func (x *exporter) raised(d *json.Decoder, in string) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case string:
		return x.node(v), nil
	case bool:
		return x.node(v), nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v.String()}, nil
	case json.Delim:
		if v == '[' {
			return x.raisedList(d, in)
		}
		return x.raisedObject(d, in)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

func (x *exporter) raisedList(d *json.Decoder, in string) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for d.More() {
		item, err := x.raised(d, in)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, item)
	}
	_, err := d.Token()
	return n, err
}

func (x *exporter) raisedObject(d *json.Decoder, in string) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		shown := raise(name)
		if in == "configuration" || in == "artifactStores" {
			shown = name
		}
		value, err := x.raised(d, name)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, text(shown), value)
	}
	if in == "artifactStores" {
		n = byRegion(n)
	}
	_, err := d.Token()
	return n, err
}

// byRegion is the list that a template has for the stores of each region.
func byRegion(stores *yaml.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for i := 0; i+1 < len(stores.Content); i += 2 {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{
			text("Region"), stores.Content[i], text("ArtifactStore"), stores.Content[i+1],
		}})
	}
	return n
}

func raise(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	if size == 0 {
		return name
	}
	return string(unicode.ToUpper(first)) + name[size:]
}

// drop removes a member of a mapping.
func drop(n *yaml.Node, name string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
			return
		}
	}
}
