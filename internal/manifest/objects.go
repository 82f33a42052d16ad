package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// objects makes the objects of a document's value: one, or those of a list.
func (d *document) objects(value any) ([]Object, error) {
	if m, ok := value.(map[string]any); ok && !isList(m) && d.check(m, nil) == nil {
		return []Object{{Unstructured: &unstructured.Unstructured{Object: m}, Source: Source{File: d.file, Line: d.line()}}}, nil
	}
	return d.objectsOf(value, d.root(), 0)
}

func isList(m map[string]any) bool {
	_, items := sliceAt(m, "items")
	return items && strings.HasSuffix(stringAt(m, "kind"), "List")
}

func (d *document) objectsOf(value any, n *kyaml.Node, depth int) ([]Object, error) {
	if value == nil {
		return nil, nil
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, d.errorFor(n, fmt.Sprintf("an object must be a mapping, this is a %s", kindOfValue(value)), "start with apiVersion, kind and metadata")
	}
	items, _ := sliceAt(m, "items")
	kind := stringAt(m, "kind")
	if !isList(m) || depth > 3 {
		if err := d.check(m, n); err != nil {
			return nil, err
		}
		return []Object{{Unstructured: &unstructured.Unstructured{Object: m}, Source: d.sourceOf(n)}}, nil
	}
	var objs []Object
	var errs []error
	itemsNode := child(n, "items")
	for i, item := range items {
		if im, ok := item.(map[string]any); ok && kind != "List" {
			inherit(im, "apiVersion", m["apiVersion"])
			inherit(im, "kind", strings.TrimSuffix(kind, "List"))
		}
		found, err := d.objectsOf(item, element(itemsNode, i), depth+1)
		objs = append(objs, found...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return objs, joinErrors(errs)
}

func inherit(m map[string]any, field string, value any) {
	if _, ok := m[field]; !ok {
		m[field] = value
	}
}

func (d *document) sourceOf(n *kyaml.Node) Source {
	if n == nil {
		return Source{File: d.file, Line: d.first}
	}
	return Source{File: d.file, Line: d.first + n.Line - 1}
}

// check says what every object needs, before an API server is asked.
func (d *document) check(m map[string]any, n *kyaml.Node) error {
	for _, field := range []string{"apiVersion", "kind"} {
		if err := d.checkString(m, n, field, describe(m)+" has no "+field); err != nil {
			return err
		}
	}
	kind, apiVersion := stringAt(m, "kind"), stringAt(m, "apiVersion")
	if kind == "Kustomization" && strings.HasPrefix(apiVersion, "kustomize.config.k8s.io/") {
		return d.errorFor(n, "a Kustomization is no object of a cluster", "name its file kustomization.yaml")
	}
	if strings.Count(apiVersion, "/") > 1 || strings.HasPrefix(apiVersion, "/") || strings.HasSuffix(apiVersion, "/") {
		return d.errorFor(child(n, "apiVersion"), fmt.Sprintf("apiVersion %q is neither VERSION nor GROUP/VERSION", apiVersion), "")
	}
	metadata, ok := m["metadata"].(map[string]any)
	if !ok {
		return d.missing(m, n, "metadata", kind+" has no metadata", "add metadata with a name")
	}
	if _, ok := metadata["generateName"]; ok && metadata["name"] == nil {
		return d.errorFor(child(child(n, "metadata"), "generateName"), kind+" has a generateName instead of a name", "give it a name: with a new one each time it could not be updated")
	}
	if err := d.checkString(metadata, child(n, "metadata"), "name", kind+" has no metadata.name"); err != nil {
		return err
	}
	name := stringAt(metadata, "name")
	if wrong := content.IsPathSegmentName(name); len(wrong) > 0 {
		return d.errorFor(child(child(n, "metadata"), "name"), fmt.Sprintf("metadata.name %q %s", name, strings.Join(wrong, ", ")), "")
	}
	return d.checkStringMaps(metadata, child(n, "metadata"))
}

// checkString checks that a field that every object needs is there.
func (d *document) checkString(m map[string]any, n *kyaml.Node, field, missing string) error {
	switch v := m[field].(type) {
	case string:
		if v == "" {
			return d.errorFor(child(n, field), missing+", it is empty", "")
		}
		return nil
	case nil:
		return d.missing(m, n, field, missing, "")
	default:
		hint := ""
		if written := deref(child(n, field)); written != nil && written.Kind == kyaml.ScalarNode {
			hint = fmt.Sprintf("quote it: %q", written.Value)
		}
		return d.errorFor(child(n, field), fmt.Sprintf("%s is a %s, but must be a string", field, kindOfValue(v)), hint)
	}
}

// missing points at the nearest key that is there instead.
func (d *document) missing(m map[string]any, n *kyaml.Node, field, message, hint string) error {
	if near := nearest(field, slices.Collect(maps.Keys(m))); near != "" {
		return d.errorFor(keyNode(n, near), message, fmt.Sprintf("%q should be %q", near, field))
	}
	if hint == "" {
		hint = "add it"
	}
	return d.errorFor(n, message, hint)
}

// checkStringMaps: labels and annotations with unquoted numbers or booleans are
// the mistake that the API server explains worst.
func (d *document) checkStringMaps(metadata map[string]any, n *kyaml.Node) error {
	if v := metadata["namespace"]; v != nil {
		if _, ok := v.(string); !ok {
			return d.errorFor(child(n, "namespace"), fmt.Sprintf("metadata.namespace is a %s, but must be a string", kindOfValue(v)), "quote it")
		}
	}
	for _, field := range []string{"labels", "annotations"} {
		if metadata[field] == nil {
			continue
		}
		values, ok := metadata[field].(map[string]any)
		if !ok {
			return d.errorFor(child(n, field), fmt.Sprintf("metadata.%s is a %s, but must be a mapping", field, kindOfValue(metadata[field])), "")
		}
		for _, k := range slices.Sorted(maps.Keys(values)) {
			if _, ok := values[k].(string); !ok {
				return d.errorFor(child(child(n, field), k), fmt.Sprintf("metadata.%s has a %s for %q, but must have strings", field, kindOfValue(values[k]), k), "quote it")
			}
		}
	}
	return nil
}

// describe is "Deployment", or "the object" while its kind is not known.
func describe(m map[string]any) string {
	if kind := stringAt(m, "kind"); kind != "" {
		return kind
	}
	return "the object"
}

func kindOfValue(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "list"
	case map[string]any:
		return "mapping"
	}
	return "number"
}

// child is the value of a key of a mapping, or nil.
func child(n *kyaml.Node, key string) *kyaml.Node {
	if k, v := entry(n, key); k != nil {
		return v
	}
	return nil
}

// keyNode is the key itself.
func keyNode(n *kyaml.Node, key string) *kyaml.Node {
	k, _ := entry(n, key)
	return k
}

func entry(n *kyaml.Node, key string) (k, v *kyaml.Node) {
	n = deref(n)
	if n == nil || n.Kind != kyaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

func element(n *kyaml.Node, i int) *kyaml.Node {
	n = deref(n)
	if n == nil || n.Kind != kyaml.SequenceNode || i >= len(n.Content) {
		return nil
	}
	return n.Content[i]
}

func deref(n *kyaml.Node) *kyaml.Node {
	for n != nil && n.Kind == kyaml.AliasNode {
		n = n.Alias
	}
	return n
}
