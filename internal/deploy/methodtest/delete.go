package methodtest

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/kube"
)

func (s *suite) remove(t *testing.T) {
	t.Run("the object of that UID goes", func(t *testing.T) {
		object := s.mustApply(t, s.configMap(t, "removed", "one"))
		if err := s.method.Delete(t.Context(), kube.RefOf(object), object.GetUID()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.cluster.Get(t.Context(), kube.RefOf(object)); !kube.IsNotFound(err) {
			t.Errorf("it is there: %v", err)
		}
	})
	t.Run("another object of that name stays", func(t *testing.T) {
		object := s.mustApply(t, s.configMap(t, "another", "one"))
		err := s.method.Delete(t.Context(), kube.RefOf(object), "00000000-0000-0000-0000-000000000000")
		if !kube.IsStale(err) {
			t.Errorf("error %v", err)
		}
		s.live(t, object)
	})
	t.Run("without a UID whatever has the name goes", func(t *testing.T) {
		object := s.mustApply(t, s.configMap(t, "whatever", "one"))
		if err := s.method.Delete(t.Context(), kube.RefOf(object), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := s.cluster.Get(t.Context(), kube.RefOf(object)); !kube.IsNotFound(err) {
			t.Errorf("it is there: %v", err)
		}
	})
	t.Run("what is gone is no error", func(t *testing.T) {
		if err := s.method.Delete(t.Context(), kube.RefOf(s.configMap(t, "nowhere", "")), "x"); err != nil {
			t.Error(err)
		}
	})
	t.Run("the command says what it does", func(t *testing.T) {
		text := s.method.DeleteCommand(kube.RefOf(s.deployment(t, "web")), "the-uid")
		for _, want := range []string{"/apis/apps/v1/namespaces/" + s.namespace + "/deployments/web", `"uid":"the-uid"`, `"propagationPolicy":"Background"`} {
			if !strings.Contains(text, want) {
				t.Errorf("%q does not name %s", text, want)
			}
		}
	})
}
