package manifest

import (
	"cmp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestFreezeConfigs(t *testing.T) {
	t.Parallel()
	eachArchive(t, "freeze", func(t *testing.T, a archive) {
		objs, err := Load(a.root(t), cmp.Or(a.settings["path"], "in.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		objs, changes := FreezeConfigs(objs)
		a.expect(t, "want.changes", lines(changes))
		a.expect(t, "want.yaml", bodies(t, objs))
		again, changes := FreezeConfigs(Copy(objs))
		if diff := gocmp.Diff(objs, again); diff != "" || len(changes) > 0 {
			t.Errorf("the second time: %v (-want +got)\n%s", changes, diff)
		}
	})
}

func TestFrozenNamesChangeWithTheContentsOnly(t *testing.T) {
	t.Parallel()
	name := func(kind string, config map[string]any) string {
		config["apiVersion"], config["kind"] = "v1", kind
		config["metadata"] = map[string]any{"name": "env", "labels": config["labels"]}
		frozen := frozenCopy(Wrap(&unstructured.Unstructured{Object: config})[0])
		return frozen.GetName()
	}
	one := name("ConfigMap", map[string]any{"data": map[string]any{"a": "1", "b": "2"}})
	if !strings.HasPrefix(one, "env-") {
		t.Fatal(one)
	}
	if again := name("ConfigMap", map[string]any{"data": map[string]any{"b": "2", "a": "1"}, "labels": map[string]any{"x": "y"}}); again != one {
		t.Errorf("the same contents have the names %s and %s", one, again)
	}
	for what, other := range map[string]string{
		"a changed value": name("ConfigMap", map[string]any{"data": map[string]any{"a": "1", "b": "3"}}),
		"a removed key":   name("ConfigMap", map[string]any{"data": map[string]any{"a": "1"}}),
		"binary data":     name("ConfigMap", map[string]any{"binaryData": map[string]any{"a": "1", "b": "2"}}),
		"another kind":    name("Secret", map[string]any{"data": map[string]any{"a": "1", "b": "2"}}),
		"a type":          name("ConfigMap", map[string]any{"data": map[string]any{"a": "1", "b": "2"}, "type": "x"}),
	} {
		if other == one {
			t.Errorf("%s does not change the name", what)
		}
	}
}

func TestFrozenNamesFit(t *testing.T) {
	t.Parallel()
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": strings.Repeat("a.", 126) + "a"}}}
	frozen := frozenCopy(Wrap(u)[0])
	if name, label := frozen.GetName(), frozen.GetLabels()[ConfigLabel]; len(name) > 253 || strings.Contains(name, ".-") || len(label) > 63 || strings.HasSuffix(label, ".") {
		t.Errorf("name %s, label %s", name, label)
	}
}
