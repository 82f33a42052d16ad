package methodtest

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

func (s *suite) scale(t *testing.T) {
	t.Run("the number is as asked, and towline's", func(t *testing.T) {
		object := s.deployment(t, "scaled")
		object.Object["spec"].(map[string]any)["paused"] = true // It needs no pods for this.
		ref := kube.RefOf(s.mustApply(t, object))
		for _, replicas := range []int64{3, 3, 0} {
			s.scaleTo(t, ref, object, int(replicas))
			found := s.live(t, object)
			if got, _, err := unstructured.NestedInt64(found.Object, "spec", "replicas"); got != replicas {
				t.Errorf("%d replicas, want %d: %v", got, replicas, err)
			}
			if replicas == 3 && !ownsReplicas(found, kube.FieldManager, metav1.ManagedFieldsOperationUpdate) {
				t.Errorf("the field is of %v", managers(found))
			}
		}
	})
	t.Run("what has changed since it was read is left alone", func(t *testing.T) {
		object := s.deployment(t, "changed")
		object.Object["spec"].(map[string]any)["paused"] = true
		read := s.mustApply(t, object)
		object.SetLabels(map[string]string{"changed": "yes"})
		s.mustApply(t, object)
		s.wantStale(t, s.method.Scale(t.Context(), kube.RefOf(read), 0, kube.AsRead(read)))
	})
	t.Run("what was made anew since it was read is left alone", func(t *testing.T) {
		object := s.deployment(t, "anew")
		object.Object["spec"].(map[string]any)["paused"] = true
		read := s.mustApply(t, object)
		if err := s.method.Delete(t.Context(), kube.RefOf(read), read.GetUID()); err != nil {
			t.Fatal(err)
		}
		s.mustApply(t, object)
		s.wantStale(t, s.method.Scale(t.Context(), kube.RefOf(read), 0, kube.AsRead(read)))
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		if err := s.method.Scale(t.Context(), kube.RefOf(s.deployment(t, "nowhere")), 1, kube.Guard{}); !kube.IsNotFound(err) {
			t.Error(err)
		}
	})
	t.Run("what has no scale is refused", func(t *testing.T) {
		object := s.mustApply(t, s.configMap(t, "scaleless", "one"))
		if err := s.method.Scale(t.Context(), kube.RefOf(object), 1, kube.Guard{}); !kube.Refused(err) {
			t.Error(err)
		}
	})
	t.Run("the command says what it does", func(t *testing.T) {
		text := s.method.ScaleCommand(kube.RefOf(s.deployment(t, "web")), 3)
		for _, want := range []string{s.namespace, "deployments", "/web", "scale", `{"spec":{"replicas":3}}`} {
			if !strings.Contains(text, want) {
				t.Errorf("%q does not name %s", text, want)
			}
		}
	})
}

// scaleTo scales an object as it is, however often its controller writes its
// status meanwhile.
func (s *suite) scaleTo(t *testing.T, ref kube.Ref, object *unstructured.Unstructured, replicas int) {
	t.Helper()
	for {
		err := s.method.Scale(t.Context(), ref, replicas, kube.AsRead(s.live(t, object)))
		if kube.IsStale(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
}

// wantStale wants an error of an object that is not as it was read.
func (s *suite) wantStale(t *testing.T, err error) {
	t.Helper()
	if !kube.IsStale(err) {
		t.Errorf("error %T: %v, want one that says that the object has changed", err, err)
	}
}

// ownsReplicas tells whether a manager owns spec.replicas.
func ownsReplicas(object *unstructured.Unstructured, manager string, operation metav1.ManagedFieldsOperationType) bool {
	for _, entry := range object.GetManagedFields() {
		var fields struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if entry.Manager != manager || entry.Operation != operation || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if _, ok := fields.Spec["f:replicas"]; ok {
			return true
		}
	}
	return false
}
