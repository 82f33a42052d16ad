package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestSelectors(t *testing.T) {
	t.Parallel()
	type labels = map[string]string
	for _, c := range []struct {
		name     string
		selector labels
		pods     labels
		matches  bool
		text     string
	}{
		{"one that all labels of the pods meet", labels{"app": "web"}, labels{"app": "web"}, true, "app=web"},
		{"one that some labels of the pods meet", labels{"tier": "front", "app": "web"}, labels{"app": "web", "tier": "front", "zone": "a"}, true, "app=web,tier=front"},
		{"another value", labels{"app": "web"}, labels{"app": "worker"}, false, "app=web"},
		{"a label that the pods have not", labels{"app": "web", "tier": "front"}, labels{"app": "web"}, false, "app=web,tier=front"},
		{"an empty value, of a label that the pods have not", labels{"tier": ""}, labels{"app": "web"}, false, "tier="},
		{"an empty value", labels{"tier": ""}, labels{"tier": ""}, true, "tier="},
		{"an empty one means no pods", labels{}, labels{"app": "web"}, false, "nothing"},
		{"none means no pods", nil, nil, false, "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := Matches(c.selector, c.pods); got != c.matches {
				t.Errorf("matches %t", got)
			}
			if got := SelectorText(c.selector); got != c.text {
				t.Errorf("text %q", got)
			}
		})
	}
}

func TestSelectorOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		spec any
		want map[string]string
	}{
		{"labels", map[string]any{"selector": map[string]any{"app": "web"}}, map[string]string{"app": "web"}},
		{"none", map[string]any{}, nil},
		{"an object without a spec", nil, nil},
		{"a value that is no text", map[string]any{"selector": map[string]any{"app": "web", "revision": int64(2)}}, nil},
		{"a list", map[string]any{"selector": []any{"app"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			service := &unstructured.Unstructured{Object: map[string]any{"spec": c.spec}}
			if diff := cmp.Diff(c.want, SelectorOf(service)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := SelectorOf(nil); got != nil {
		t.Errorf("of no Service: %v", got)
	}
}
