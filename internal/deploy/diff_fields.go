package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/plan"
)

// longest is how many letters of a value are shown.
const longest = 120

// fieldsOf are the differences between two states of an object, a line each:
// what is new begins with +, what is gone with -, and what changes has both
// values. What the cluster counts by itself is left out, the values of Secrets
// are not shown, and either state may be nil.
func fieldsOf(before, after *unstructured.Unstructured) []string {
	d := differ{}
	if o := cmpObject(before, after); o != nil {
		d.secret = o.GetKind() == "Secret" && o.GroupVersionKind().Group == ""
	}
	d.compare("", essenceOf(before), essenceOf(after))
	return d.lines
}

func cmpObject(a, b *unstructured.Unstructured) *unstructured.Unstructured {
	if a != nil {
		return a
	}
	return b
}

// essenceOf is an object without what changes by itself or names it.
func essenceOf(o *unstructured.Unstructured) any {
	if o == nil {
		return nil
	}
	o = o.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "name", "namespace"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	for _, path := range [][]string{
		{"apiVersion"}, {"kind"}, {"status"}, {"metadata", "labels", plan.SequenceLabel},
		{"metadata", "annotations", "deployment.kubernetes.io/revision"}, {"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"},
	} {
		unstructured.RemoveNestedField(o.Object, path...)
	}
	return map[string]any(o.Object)
}

// differ collects differences.
type differ struct {
	secret bool // values of data and stringData are not shown
	lines  []string
}

func (d *differ) compare(path string, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	a, aMap := before.(map[string]any)
	b, bMap := after.(map[string]any)
	if (aMap || before == nil) && (bMap || after == nil) {
		d.maps(path, a, b)
		return
	}
	left, aList := before.([]any)
	right, bList := after.([]any)
	if (aList || before == nil) && (bList || after == nil) && keyed(left, right) {
		d.maps(path, byKey(left), byKey(right))
		return
	}
	switch {
	case before == nil:
		d.lines = append(d.lines, fmt.Sprintf("+ %s: %s", path, d.show(path, after)))
	case after == nil:
		d.lines = append(d.lines, fmt.Sprintf("- %s: %s", path, d.show(path, before)))
	default:
		d.lines = append(d.lines, fmt.Sprintf("  %s: %s -> %s", path, d.show(path, before), d.show(path, after)))
	}
}

// maps compares key by key. One that is there and empty is no difference.
func (d *differ) maps(path string, before, after map[string]any) {
	all := maps.Clone(before)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, after)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		at := key
		if !strings.HasPrefix(key, "[") && path != "" {
			at = "." + key
		}
		d.compare(path+at, before[key], after[key])
	}
}

// keyed tells whether the items of two lists are known by a name or a port.
func keyed(lists ...[]any) bool {
	items := 0
	for _, list := range lists {
		items += len(list)
		if len(byKey(list)) != len(list) {
			return false
		}
	}
	return items > 0
}

// byKey is a list as a map from its items' names, or ports. Items that have
// none are not in it.
func byKey(list []any) map[string]any {
	found := make(map[string]any, len(list))
	for _, item := range list {
		object, ok := item.(map[string]any)
		if !ok {
			continue
		}
		for _, key := range []string{"name", "containerPort", "port", "mountPath", "type", "ip"} {
			if value, ok := object[key]; ok {
				found[fmt.Sprintf("[%v]", value)] = item
				break
			}
		}
	}
	return found
}

func (d *differ) show(path string, value any) string {
	if d.secret && (strings.HasPrefix(path, "data.") || strings.HasPrefix(path, "stringData.")) {
		return "(secret)"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	shown := []rune(string(text))
	if len(shown) > longest {
		return string(shown[:longest]) + "..."
	}
	return string(shown)
}
