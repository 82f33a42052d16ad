package definition

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// shape checks a syntax tree against the types that it will be decoded into,
// and remembers where each value stands, so that later checks can say so too.
type shape struct {
	positions map[string]*token.Position // by path, e.g. stages[0].name
	problems  Problems
	anchors   int // how many anchors enclose the node at hand
	aliases   int // so far
}

// maxAliases bounds what the file grows to when its aliases are written out, to
// so many times its size.
const maxAliases = 100

func newShape() *shape { return &shape{positions: map[string]*token.Position{}} }

func (s *shape) problem(node ast.Node, hint, format string, args ...any) {
	at := node.GetToken().Position
	s.problems = append(s.problems, Problem{Line: at.Line, Column: at.Column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (s *shape) check(node ast.Node, want reflect.Type, path string) {
	s.positions[path] = node.GetToken().Position
	if want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		s.anchors++
		s.check(n.Value, want, path)
		s.anchors--
		return
	case *ast.AliasNode:
		// An alias inside an anchor could grow without bound when expanded.
		if s.anchors > 0 {
			s.problem(n, "write the value out", "an alias stands inside an anchor")
		}
		if s.aliases++; s.aliases == maxAliases+1 {
			s.problem(n, "write some of the values out", "there are more than %d aliases", maxAliases)
		}
		return
	case *ast.TagNode:
		s.problem(n, "leave the tag out", "tags are not used here")
		return
	case *ast.NullNode:
		s.problem(n, "give it a value or leave the key out", "%s has no value", orFile(path))
		return
	}
	switch want.Kind() {
	case reflect.Struct:
		s.mapping(node, path, "a mapping of "+strings.Join(keys(want), ", "), func(key ast.MapKeyNode, name string) (reflect.Type, bool) {
			return s.field(key, name, want, path)
		})
	case reflect.Map:
		s.mapping(node, path, "a mapping", func(ast.MapKeyNode, string) (reflect.Type, bool) { return want.Elem(), true })
	case reflect.Slice:
		s.sequence(node, want.Elem(), path)
	default:
		s.scalar(node, want.Kind(), path)
	}
}

func (s *shape) mapping(node ast.Node, path, wanted string, typeOf func(ast.MapKeyNode, string) (reflect.Type, bool)) {
	m, ok := node.(ast.MapNode)
	if !ok {
		s.problem(node, "", "%s must be %s, not %s", orFile(path), wanted, kindOf(node))
		return
	}
	for it := m.MapRange(); it.Next(); {
		key := it.Key()
		if _, merge := key.(*ast.MergeKeyNode); merge {
			s.check(it.Value(), reflect.TypeFor[map[string]any](), path+".<<")
			continue
		}
		name := key.GetToken().Value
		if t, ok := typeOf(key, name); ok {
			s.check(it.Value(), t, join(path, name))
		}
	}
}

func (s *shape) field(key ast.MapKeyNode, name string, in reflect.Type, path string) (reflect.Type, bool) {
	for f := range in.Fields() {
		if jsonName(f) == name {
			return f.Type, true
		}
	}
	hint := "keys here are " + strings.Join(keys(in), ", ")
	if near := nearest(name, keys(in)); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	where := ""
	if path != "" {
		where = " in " + path
	}
	s.problem(key, hint, "unknown key %q%s", name, where)
	return nil, false
}

func (s *shape) sequence(node ast.Node, elem reflect.Type, path string) {
	n, ok := node.(*ast.SequenceNode)
	if !ok {
		s.problem(node, "write each element on a line that begins with a dash", "%s must be a list, not %s", path, kindOf(node))
		return
	}
	for i, value := range n.Values {
		s.check(value, elem, fmt.Sprintf("%s[%d]", path, i))
	}
}

func (s *shape) scalar(node ast.Node, want reflect.Kind, path string) {
	ok, wanted, hint := false, "", ""
	switch want {
	case reflect.String:
		_, literal := node.(*ast.LiteralNode)
		ok = literal || node.Type() == ast.StringType
		wanted = "a string"
		if _, isScalar := node.(ast.ScalarNode); isScalar {
			hint = fmt.Sprintf("write it in quotes: %q", node.GetToken().Value)
		}
	case reflect.Int:
		ok, wanted = node.Type() == ast.IntegerType, "a whole number"
	case reflect.Float64:
		ok, wanted = node.Type() == ast.IntegerType || node.Type() == ast.FloatType, "a number"
	case reflect.Bool:
		ok, wanted = node.Type() == ast.BoolType, "true or false"
	case reflect.Interface:
		ok = true
	}
	if !ok {
		s.problem(node, hint, "%s must be %s, not %s", path, wanted, kindOf(node))
	}
}

func kindOf(node ast.Node) string {
	switch node.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.IntegerType, ast.FloatType:
		return "a number"
	case ast.BoolType:
		return "a boolean"
	case ast.StringType, ast.LiteralType:
		return "text"
	}
	return strings.ToLower(node.Type().String())
}

func keys(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		names = append(names, jsonName(f))
	}
	return names
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orFile(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
