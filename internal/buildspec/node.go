package buildspec

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// entry is one key of a mapping.
type entry struct {
	key   string
	at    ast.Node // the key
	value ast.Node
}

// mostAliases bounds how far aliases lead to aliases.
const mostAliases = 10

// resolve strips anchors, tags and aliases off a node.
func (r *reader) resolve(n ast.Node) ast.Node {
	for range mostAliases {
		switch m := n.(type) {
		case *ast.AnchorNode:
			n = m.Value
		case *ast.TagNode:
			n = m.Value
		case *ast.AliasNode:
			target, ok := r.anchors[m.Value.GetToken().Value]
			if !ok {
				r.problem(m, "", "there is no anchor &%s", m.Value.GetToken().Value)
				return nil
			}
			n = target
		default:
			return n
		}
	}
	r.problem(n, "", "aliases lead to aliases without end")
	return nil
}

// mapping returns the entries of a mapping in the file's order. An empty value
// is an empty mapping; anything else that is none is a problem.
func (r *reader) mapping(n ast.Node, what string) []entry {
	return r.entries(n, what, 0)
}

func (r *reader) entries(n ast.Node, what string, merges int) []entry {
	var values []*ast.MappingValueNode
	resolved := r.resolve(n)
	switch m := resolved.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		r.problem(n, "", "%s is %s, it must be a mapping of keys", what, kind(resolved))
		return nil
	}
	var found []entry
	for _, v := range values {
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			if merges >= mostAliases {
				r.problem(v.Key, "", "mappings merge each other without end")
				return nil
			}
			found = merge(found, r.entries(v.Value, what, merges+1))
			continue
		}
		key := v.Key.GetToken().Value
		found = append(found, entry{key: key, at: v.Key, value: v.Value})
	}
	return found
}

// merge adds the entries of more whose keys are new.
func merge(found, more []entry) []entry {
	have := map[string]bool{}
	for _, e := range found {
		have[e.key] = true
	}
	for _, e := range more {
		if !have[e.key] {
			found = append(found, e)
		}
	}
	return found
}

// text returns a scalar as it was written: 1.10 stays 1.10.
func (r *reader) text(n ast.Node, what string) string {
	switch m := r.resolve(n).(type) {
	case nil, *ast.NullNode:
		return ""
	case *ast.StringNode:
		return m.Value
	case *ast.LiteralNode:
		return m.Value.Value
	case *ast.MappingNode, *ast.MappingValueNode:
		r.problem(n, `put quotes around it: a colon and a space make it a mapping`, "%s is a mapping, it must be a text", what)
		return ""
	case *ast.SequenceNode:
		r.problem(n, "", "%s is a list, it must be a text", what)
		return ""
	default:
		return m.GetToken().Value
	}
}

// list returns a list of texts. A single text is a list of one, as CodeBuild
// has it.
func (r *reader) list(n ast.Node, what string) []string {
	sequence, ok := r.resolve(n).(*ast.SequenceNode)
	if !ok {
		if one := r.text(n, what); one != "" {
			return []string{one}
		}
		return nil
	}
	var texts []string
	for i, v := range sequence.Values {
		text := r.text(v, fmt.Sprintf("%s[%d]", what, i))
		if strings.TrimSpace(text) != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// yes reads a truth value; the file may say yes and no.
func (r *reader) yes(n ast.Node, what string) bool {
	switch text := strings.ToLower(r.text(n, what)); text {
	case "yes", "true", "on":
		return true
	case "no", "false", "off", "":
		return false
	default:
		r.problem(n, "write yes or no", "%s is %q", what, text)
		return false
	}
}

func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "empty"
	default:
		return "a text"
	}
}
