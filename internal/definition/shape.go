package definition

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
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
	if want == rawJSON {
		want = anything
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
		if want == anything {
			return
		}
		s.problem(n, "give it a value or leave the key out", "%s has no value", orFile(path))
		return
	}
	if f, ok := reflect.TypeAssert[formed](reflect.Zero(want)); ok {
		s.form(node, f.forms(), path)
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
	case reflect.Interface:
		s.anything(node, path)
	default:
		s.scalar(node, want.Kind(), path)
	}
}

var (
	anything = reflect.TypeFor[any]()
	rawJSON  = reflect.TypeFor[json.RawMessage]()
)

// anything is for values whose shape somebody else knows.
func (s *shape) anything(node ast.Node, path string) {
	switch node.(type) {
	case ast.MapNode:
		s.mapping(node, path, "", func(ast.MapKeyNode, string) (reflect.Type, bool) { return anything, true })
	case *ast.SequenceNode:
		s.sequence(node, anything, path)
	}
}

// form checks a value that may have one of several shapes: the first that is of
// its kind.
func (s *shape) form(node ast.Node, forms []reflect.Type, path string) {
	var wanted []string
	single := true
	for _, form := range forms {
		single = single && form.Kind() != reflect.Slice
	}
	for _, form := range forms {
		switch form.Kind() {
		case reflect.Struct, reflect.Map:
			if _, ok := node.(ast.MapNode); ok || len(forms) == 1 {
				if !single {
					// Alone, it is the first of a list.
					path += "[0]"
				}
				s.check(node, form, path)
				return
			}
			wanted = append(wanted, "a mapping")
		case reflect.Slice:
			if _, ok := node.(*ast.SequenceNode); ok {
				s.sequence(node, form.Elem(), path)
				return
			}
			wanted = append(wanted, "a list")
		default:
			if scalarFits(node, form.Kind()) {
				return
			}
			wanted = append(wanted, scalarName(form.Kind()))
		}
	}
	hint := ""
	if _, isScalar := node.(ast.ScalarNode); isScalar && slices.Contains(wanted, "a string") {
		hint = fmt.Sprintf("write it in quotes: %q", node.GetToken().Value)
	}
	s.problem(node, hint, "%s must be %s, not %s", path, strings.Join(wanted, " or "), kindOf(node))
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
	if scalarFits(node, want) {
		return
	}
	hint := ""
	if _, isScalar := node.(ast.ScalarNode); isScalar && want == reflect.String {
		hint = fmt.Sprintf("write it in quotes: %q", node.GetToken().Value)
	}
	s.problem(node, hint, "%s must be %s, not %s", path, scalarName(want), kindOf(node))
}

func scalarFits(node ast.Node, want reflect.Kind) bool {
	switch want {
	case reflect.String:
		_, literal := node.(*ast.LiteralNode)
		return literal || node.Type() == ast.StringType
	case reflect.Int:
		return node.Type() == ast.IntegerType
	case reflect.Float64:
		return node.Type() == ast.IntegerType || node.Type() == ast.FloatType
	case reflect.Bool:
		return node.Type() == ast.BoolType
	}
	return false
}

func scalarName(kind reflect.Kind) string {
	switch kind {
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	}
	return "a string"
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
