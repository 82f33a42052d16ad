package methodtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/kube"
)

func (s *suite) create(t *testing.T) {
	t.Run("what is not there is made by towline", func(t *testing.T) {
		made, err := s.method.Create(t.Context(), s.configMap(t, "created", "one"))
		if err != nil {
			t.Fatal(err)
		}
		if value(made, "data", "key") != "one" || made.GetUID() == "" {
			t.Errorf("the object comes back as %v", made.Object)
		}
		if diff := cmp.Diff([]string{"towline Update"}, managers(made)); diff != "" {
			t.Errorf("managers (-want +got):\n%s", diff)
		}
	})
	t.Run("what is there stays as it is", func(t *testing.T) {
		s.mustApply(t, s.configMap(t, "there", "one"))
		_, err := s.method.Create(t.Context(), s.configMap(t, "there", "two"))
		if !kube.IsAlreadyExists(err) || kube.IsStale(err) {
			t.Errorf("exists %t, stale %t: %v", kube.IsAlreadyExists(err), kube.IsStale(err), err)
		}
		if found := s.live(t, s.configMap(t, "there", "")); value(found, "data", "key") != "one" {
			t.Errorf("it was written: %v", found.Object)
		}
	})
	t.Run("the object that is given stays as it is", func(t *testing.T) {
		given := s.configMap(t, "given", "one")
		want := given.DeepCopy()
		if _, err := s.method.Create(t.Context(), given); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Object, given.Object); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("the command says what it does", func(t *testing.T) {
		text := s.method.CreateCommand(kube.RefOf(s.configMap(t, "web", "")))
		if !strings.Contains(text, s.namespace) || !strings.Contains(text, "configmap") {
			t.Error(text)
		}
	})
}
