package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// checkFields finds keys of the document that the type behind target does not
// have, and values of another shape. The decoder finds them as well, but cannot tell where they stand.
func (d *document) checkFields(target any) error {
	var errs []error
	d.checkType(d.root(), reflect.TypeOf(target), &errs)
	return joinErrors(errs)
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func (d *document) checkType(n *kyaml.Node, t reflect.Type, errs *[]error) {
	if n = deref(n); n == nil || len(*errs) > maxErrors {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	shape := map[reflect.Kind]kyaml.Kind{reflect.Slice: kyaml.SequenceNode, reflect.Struct: kyaml.MappingNode, reflect.Map: kyaml.MappingNode, reflect.String: kyaml.ScalarNode}
	want, known := shape[t.Kind()]
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler) || n.Tag == "!!null":
	case known && n.Kind != want:
		*errs = append(*errs, d.errorFor(n, "must be a "+shapeNames[want], ""))
	case t.Kind() == reflect.Slice && n.Kind == kyaml.SequenceNode:
		for _, c := range n.Content {
			d.checkType(c, t.Elem(), errs)
		}
	case t.Kind() == reflect.Struct && n.Kind == kyaml.MappingNode:
		fields := jsonFields(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if ft, ok := fields[key.Value]; ok {
				d.checkType(n.Content[i+1], ft, errs)
			} else if key.Value != "<<" {
				*errs = append(*errs, d.errorFor(key, fmt.Sprintf("unknown field %q", key.Value), fieldHint(key.Value, fields)))
			}
		}
	}
}

var shapeNames = map[kyaml.Kind]string{kyaml.SequenceNode: "list", kyaml.MappingNode: "mapping", kyaml.ScalarNode: "string"}

func fieldHint(key string, fields map[string]reflect.Type) string {
	var names []string
	for f := range fields {
		names = append(names, f)
	}
	return strings.TrimSpace(didYouMean(key, names))
}

// jsonFields are the fields of a struct by the names they have in JSON.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && (f.Anonymous || strings.Contains(options, "inline")):
			inner := f.Type
			for inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			maps.Copy(fields, jsonFields(inner))
		case name != "":
			fields[name] = f.Type
		default:
			fields[f.Name] = f.Type
		}
	}
	return fields
}
