package manifest

import (
	"cmp"
	"iter"
	"strings"
)

// mapsOf walks the maps of a list and passes over everything else.
func mapsOf(items []any) iter.Seq[map[string]any] {
	return func(yield func(map[string]any) bool) {
		for _, item := range items {
			if m, ok := item.(map[string]any); ok && !yield(m) {
				return
			}
		}
	}
}

// compareStrings compares pairs until one differs.
func compareStrings(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if c := cmp.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}

// nameAll is "ConfigMap/web, Secret/db".
func nameAll(objs []Object) string {
	names := make([]string, len(objs))
	for i, o := range objs {
		names[i] = o.GetKind() + "/" + o.GetName()
	}
	return strings.Join(names, ", ")
}
