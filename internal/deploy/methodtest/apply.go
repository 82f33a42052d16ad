package methodtest

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

func (s *suite) apply(t *testing.T) {
	t.Run("what is not there is made, and changed when it is", func(t *testing.T) {
		made := s.mustApply(t, s.configMap(t, "apply", "one"))
		if value(made, "data", "key") != "one" || made.GetUID() == "" {
			t.Errorf("the object comes back as %v", made.Object)
		}
		changed := s.mustApply(t, s.configMap(t, "apply", "two"))
		if value(changed, "data", "key") != "two" || changed.GetUID() != made.GetUID() {
			t.Errorf("the object comes back as %v", changed.Object)
		}
		if diff := cmp.Diff(s.live(t, made).Object, changed.Object); diff != "" {
			t.Errorf("what comes back is not what is there (-want +got):\n%s", diff)
		}
	})
	t.Run("what would not change is not written", func(t *testing.T) {
		first := s.mustApply(t, s.deployment(t, "unchanged", "A"))
		second := s.mustApply(t, s.deployment(t, "unchanged", "A"))
		if first.GetGeneration() != second.GetGeneration() {
			t.Errorf("generation %d became %d", first.GetGeneration(), second.GetGeneration())
		}
	})
	t.Run("a variable that is given no longer disappears", func(t *testing.T) {
		s.mustApply(t, s.deployment(t, "variables", "A", "B"))
		applied := s.mustApply(t, s.deployment(t, "variables", "B"))
		containers, _, err := unstructured.NestedSlice(applied.Object, "spec", "template", "spec", "containers")
		if err != nil {
			t.Fatal(err)
		}
		want := []any{map[string]any{"name": "B", "value": "x"}}
		if diff := cmp.Diff(want, containers[0].(map[string]any)["env"]); diff != "" {
			t.Errorf("variables (-want +got):\n%s", diff)
		}
	})
	t.Run("a rehearsal shows the object and keeps nothing", func(t *testing.T) {
		shown, err := s.method.Apply(t.Context(), s.deployment(t, "rehearsed"), kube.ApplyOptions{DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		if value(shown, "spec", "strategy", "type") != "RollingUpdate" {
			t.Errorf("the defaults of the API server are not in %v", shown.Object)
		}
		if _, err := s.cluster.Get(t.Context(), kube.RefOf(shown)); !kube.IsNotFound(err) {
			t.Errorf("it is there: %v", err)
		}
	})
	t.Run("an object without a namespace can be applied", func(t *testing.T) {
		object := s.object(t, "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: "+s.namespace+"}, value: 1}")
		object.SetNamespace("")
		applied := s.mustApply(t, object)
		if err := s.method.Delete(t.Context(), kube.RefOf(applied), applied.GetUID()); err != nil {
			t.Error(err)
		}
	})
	t.Run("its fields belong to towline", s.managed)
	t.Run("warnings of the API server are heard", s.warned)
	t.Run("the command says what it does", s.applyCommand)
}

func (s *suite) managed(t *testing.T) {
	applied := s.mustApply(t, s.configMap(t, "managed", "one"))
	want := []string{"towline Apply"}
	if diff := cmp.Diff(want, managers(applied)); diff != "" {
		t.Errorf("managers (-want +got):\n%s", diff)
	}
	again, err := s.method.Apply(t.Context(), s.configMap(t, "managed", "one"), kube.ApplyOptions{Manager: "another"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"another Apply", "towline Apply"}, managers(again)); diff != "" {
		t.Errorf("managers (-want +got):\n%s", diff)
	}
}

func (s *suite) applyCommand(t *testing.T) {
	ref := kube.RefOf(s.deployment(t, "web"))
	text := s.method.ApplyCommand(ref, kube.ApplyOptions{Force: true, DryRun: true}, true)
	for _, want := range []string{"web", s.namespace, "towline", "force", "dry", "resourceVersion"} {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("%q does not name %s", text, want)
		}
	}
}

func (s *suite) warned(t *testing.T) {
	object := s.object(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: warned}
spec:
  replicas: 0
  selector: {matchLabels: {app: warned}}
  template:
    metadata: {labels: {app: warned}}
    spec:
      containers: [{name: app, image: registry.example.com/app, env: [{name: A, value: "1"}, {name: B, value: "2"}]}]
      nodeSelector: {beta.kubernetes.io/arch: amd64}
`)
	var mu sync.Mutex
	var heard []string
	ctx := kube.WithWarnings(t.Context(), func(text string) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, text)
	})
	if _, err := s.method.Apply(ctx, object, kube.ApplyOptions{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(heard) != 1 || !strings.HasPrefix(heard[0], "spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: deprecated") {
		t.Errorf("heard %q", heard)
	}
}

// managers are "NAME OPERATION[ SUBRESOURCE]" of all who own fields.
func managers(object *unstructured.Unstructured) []string {
	var names []string
	for _, entry := range object.GetManagedFields() {
		names = append(names, strings.TrimSpace(entry.Manager+" "+string(entry.Operation)+" "+entry.Subresource))
	}
	return names
}
