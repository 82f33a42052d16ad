package methodtest

import (
	"testing"

	"github.com/towline/towline/internal/kube"
)

func (s *suite) guard(t *testing.T) {
	t.Run("an object that is as it was read is written", func(t *testing.T) {
		read := s.mustApply(t, s.configMap(t, "guarded", "one"))
		object := s.configMap(t, "guarded", "two")
		object.SetResourceVersion(read.GetResourceVersion())
		if changed := s.mustApply(t, object); value(changed, "data", "key") != "two" {
			t.Errorf("the object comes back as %v", changed.Object)
		}
	})
	t.Run("an object that has changed since is stale", func(t *testing.T) {
		read := s.mustApply(t, s.configMap(t, "stale", "one"))
		s.mustApply(t, s.configMap(t, "stale", "two"))
		object := s.configMap(t, "stale", "three")
		object.SetResourceVersion(read.GetResourceVersion())
		for _, options := range []kube.ApplyOptions{{}, {Force: true}, {DryRun: true}} {
			if _, err := s.method.Apply(t.Context(), object, options); !kube.IsStale(err) {
				t.Errorf("with %+v: %v", options, err)
			}
		}
		if found := s.live(t, object); value(found, "data", "key") != "two" {
			t.Errorf("it was written: %v", found.Object)
		}
	})
	t.Run("an object that has gone since is not made anew when its UID is given too", func(t *testing.T) {
		read := s.mustApply(t, s.configMap(t, "gone", "one"))
		if err := s.method.Delete(t.Context(), kube.RefOf(read), read.GetUID()); err != nil {
			t.Fatal(err)
		}
		object := s.configMap(t, "gone", "two")
		object.SetResourceVersion(read.GetResourceVersion())
		object.SetUID(read.GetUID())
		if _, err := s.method.Apply(t.Context(), object, kube.ApplyOptions{}); !kube.IsStale(err) {
			t.Errorf("it was applied: %v", err)
		}
	})
}
