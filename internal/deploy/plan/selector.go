package plan

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// SelectorOf is what a Service selects.
func SelectorOf(service *unstructured.Unstructured) map[string]string {
	if service == nil {
		return nil
	}
	selector, _, err := unstructured.NestedStringMap(service.Object, "spec", "selector")
	if err != nil {
		return nil
	}
	return selector
}

// Matches tells whether a selector means pods with these labels. An empty one
// means none.
func Matches(selector, pod map[string]string) bool {
	return len(selector) > 0 && labels.ValidatedSetSelector(selector).Matches(labels.Set(pod))
}

// SelectorText is a selector as kubectl writes it.
func SelectorText(selector map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		parts = append(parts, key+"="+selector[key])
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ",")
}
