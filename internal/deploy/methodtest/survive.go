package methodtest

import (
	"testing"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

// survive asks how a method takes an API server that is away for a moment.
func (s *suite) survive(t *testing.T) {
	t.Run("an overloaded and a broken API server is asked again", func(t *testing.T) {
		for _, fault := range []kubetest.Fault{kubetest.Busy, kubetest.Broken, kubetest.Lost} {
			proxy := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: fault, Verb: "patch", Resource: "configmaps"}}})
			if _, err := s.newMethod(proxy.Cluster).Apply(t.Context(), s.configMap(t, "survived", "one"), kube.ApplyOptions{}); err != nil {
				t.Errorf("%s: %v", fault, err)
			}
			if len(proxy.Hits()) != 1 {
				t.Errorf("%s: the proxy hit %v", fault, proxy.Hits())
			}
		}
	})
	t.Run("a creation whose answer is lost is found again, not made twice", func(t *testing.T) {
		proxy := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Lost, Verb: "create", Resource: "configmaps"}}})
		made, err := s.newMethod(proxy.Cluster).Create(t.Context(), s.configMap(t, "lost", "one"))
		if err != nil {
			t.Fatal(err)
		}
		if found := s.live(t, made); found.GetUID() != made.GetUID() {
			t.Errorf("UID %s, want %s", made.GetUID(), found.GetUID())
		}
	})
	t.Run("a deletion whose answer is lost has happened", func(t *testing.T) {
		proxy := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Lost, Verb: "delete", Resource: "configmaps"}}})
		object := s.mustApply(t, s.configMap(t, "deleted", "one"))
		if err := s.newMethod(proxy.Cluster).Delete(t.Context(), kube.RefOf(object), object.GetUID()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a restart of the API server is waited for", func(t *testing.T) {
		proxy := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Away, Verb: "patch", Resource: "configmaps"}}})
		if _, err := s.newMethod(proxy.Cluster).Apply(t.Context(), s.configMap(t, "restarted", "one"), kube.ApplyOptions{}); err != nil {
			t.Error(err)
		}
	})
}
