package plan

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
func Matches(selector, labels map[string]string) bool {
	for key, value := range selector {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return len(selector) > 0
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
