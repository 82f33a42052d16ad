package methodtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
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

func (s *suite) scale(t *testing.T) {
	t.Run("the number is as asked, and towline's", func(t *testing.T) {
		object := s.deployment(t, "scaled")
		object.Object["spec"].(map[string]any)["paused"] = true // It needs no pods for this.
		ref := kube.RefOf(s.mustApply(t, object))
		for _, replicas := range []int64{3, 3, 0} {
			if err := s.method.Scale(t.Context(), ref, int(replicas)); err != nil {
				t.Fatal(err)
			}
			found := s.live(t, object)
			if got, _, err := unstructured.NestedInt64(found.Object, "spec", "replicas"); got != replicas {
				t.Errorf("%d replicas, want %d: %v", got, replicas, err)
			}
			if replicas == 3 && !ownsReplicas(found, kube.FieldManager, metav1.ManagedFieldsOperationUpdate) {
				t.Errorf("the field is of %v", managers(found))
			}
		}
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		if err := s.method.Scale(t.Context(), kube.RefOf(s.deployment(t, "nowhere")), 1); !kube.IsNotFound(err) {
			t.Error(err)
		}
	})
	t.Run("what has no scale is refused", func(t *testing.T) {
		object := s.mustApply(t, s.configMap(t, "scaleless", "one"))
		if err := s.method.Scale(t.Context(), kube.RefOf(object), 1); !kube.Refused(err) {
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

// end asks what happens when the context of a write ends.
func (s *suite) end(t *testing.T) {
	enough := errors.New("enough")
	write := func(ctx context.Context, m Method) error {
		_, err := m.Apply(ctx, s.configMap(t, "ended", "one"), kube.ApplyOptions{})
		return err
	}
	t.Run("a context that has ended writes nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(enough)
		if err := write(ctx, s.method); !errors.Is(err, enough) || kube.Refused(err) {
			t.Errorf("refused %t: %v", kube.Refused(err), err)
		}
		if _, err := s.cluster.Get(t.Context(), kube.RefOf(s.configMap(t, "ended", ""))); !kube.IsNotFound(err) {
			t.Errorf("it is there: %v", err)
		}
	})
	t.Run("a write that hangs ends with its context", func(t *testing.T) {
		proxy := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Slow, Verb: "patch", Resource: "configmaps", Count: -1, For: hang}}})
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { done <- write(ctx, s.newMethod(proxy.Cluster)) }()
		for len(proxy.Hits()) == 0 {
			select {
			case err := <-done:
				t.Fatalf("it ended by itself: %v", err)
			case <-tick(t):
			}
		}
		cancel(enough)
		if err := <-done; !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
	})
}
