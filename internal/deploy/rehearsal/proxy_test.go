package rehearsal

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
	"github.com/towline/towline/internal/waittest"
)

// The application exits at once when it is told to end, with requests in
// flight. Old pods without the proxy lose requests on kept connections
// however long their preStop sleeps; old pods with it lose none. Neither loses
// one on a new connection, also not while the Service goes over from the port's
// number to its name.
func TestTheDrainingProxyKeepsRequestsOfKeptConnections(t *testing.T) {
	s := setup(t)
	objs := s.version(t, "1", false)
	s.apply(t, objs)
	s.rolledOut(t, 2)

	without := s.measure(t, s.version(t, "2", true))
	if without.Fresh.Lost > 0 || without.KeepAlive.Lost == 0 {
		t.Errorf("pods without the proxy went: %+v, want losses on kept connections only", without)
	}
	t.Logf("pods without the proxy went: %s; fresh %+v, kept %+v", without, without.Fresh, without.KeepAlive)
	for _, version := range []string{"3", "4"} {
		with := s.measure(t, s.version(t, version, true))
		if with.Lost > 0 {
			t.Errorf("pods with the proxy went: %+v, want no loss", with)
		}
		t.Logf("pods with the proxy went: %s; fresh %+v, kept %+v", with, with.Fresh, with.KeepAlive)
	}
}

// version is a revision of the naive application.
func (s *stage) version(t *testing.T, version string, proxied bool) []manifest.Object {
	t.Helper()
	objs := s.objects(t, "naive", 2, "")
	if proxied {
		s.proxied(t, objs)
	}
	template, _ := manifest.Template(objs[0].Unstructured)
	if err := unstructured.SetNestedField(template, version, "metadata", "labels", "version"); err != nil {
		t.Fatal(err)
	}
	// So long that some requests are in flight at any moment.
	spec, _ := template["spec"].(map[string]any)
	web, _ := spec["containers"].([]any)[0].(map[string]any)
	web["env"] = append(web["env"].([]any)[:1], map[string]any{"name": "WORK", "value": "50ms"})
	return objs
}

// measure rolls out the objects under load.
func (s *stage) measure(t *testing.T, objs []manifest.Object) pipeline.Verdict {
	t.Helper()
	route, err := s.cluster.ServiceURL(t.Context(), s.namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	if !route.Public {
		t.Fatalf("the Service is reached by %s, want its node port", route.Via)
	}
	prober, err := probe.Start(t.Context(), probe.Config{URL: route.URL + "/", Method: "POST", Rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "requests flow", func() bool { return prober.Snapshot().Requests > 200 })
	s.apply(t, objs)
	s.rolledOut(t, 2)
	return prober.Stop()
}

// rolledOut waits until the Deployment has just these pods, all of them new.
func (s *stage) rolledOut(t *testing.T, replicas int) {
	t.Helper()
	waittest.Until(t, "the rollout is done", func() bool {
		live, err := s.cluster.Get(t.Context(), kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: s.namespace, Name: "web"})
		if err != nil {
			t.Fatal(err)
		}
		var d appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &d); err != nil {
			t.Fatal(err)
		}
		pods, err := s.cluster.List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, s.namespace, "app=web")
		if err != nil {
			t.Fatal(err)
		}
		n := int32(replicas)
		return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == n && d.Status.AvailableReplicas == n && len(pods) == replicas
	})
}
