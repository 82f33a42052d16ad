package manifest

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestHashConfigs(t *testing.T) {
	t.Parallel()
	eachArchive(t, "hash", func(t *testing.T, a archive) {
		objs := a.load(t)
		a.expect(t, "want.changes", lines(HashConfigs(objs)))
		if again := HashConfigs(objs); len(again) > 0 {
			t.Errorf("the second time: %v", again)
		}
	})
}

func TestHashConfigsChangesWithTheContentsOnly(t *testing.T) {
	t.Parallel()
	hash := func(config map[string]any) string {
		config["apiVersion"], config["kind"] = "v1", "ConfigMap"
		config["metadata"] = map[string]any{"name": "env", "labels": config["labels"]}
		objs := Wrap(&unstructured.Unstructured{Object: config}, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{
				map[string]any{"name": "web", "envFrom": []any{map[string]any{"configMapRef": map[string]any{"name": "env"}}}},
			}}}},
		}})
		HashConfigs(objs)
		return stringAt(objs[1].Object, "spec", "template", "metadata", "annotations", HashAnnotation)
	}
	one := hash(map[string]any{"data": map[string]any{"a": "1", "b": "2"}})
	if one == "" {
		t.Fatal("no hash")
	}
	if again := hash(map[string]any{"data": map[string]any{"b": "2", "a": "1"}, "labels": map[string]any{"x": "y"}}); again != one {
		t.Errorf("the same contents have the hashes %s and %s", one, again)
	}
	for name, other := range map[string]map[string]any{
		"a changed value": {"data": map[string]any{"a": "1", "b": "3"}},
		"a removed key":   {"data": map[string]any{"a": "1"}},
		"binary data":     {"binaryData": map[string]any{"a": "1", "b": "2"}},
	} {
		if hash(other) == one {
			t.Errorf("%s does not change the hash", name)
		}
	}
}
