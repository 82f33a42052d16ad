package kube_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

func TestAListHasTheObjectsAsTheyAreReadAlone(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	// Numbers, kinds of several groups, and one that is in no namespace.
	for _, name := range []string{"config", "service", "workload", "autoscaler"} {
		o := parseObject(t, namespace, unchangedDocuments[name])
		o.SetLabels(map[string]string{"listed": namespace})
		if _, err := c.Apply(t.Context(), o, kube.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		ref := kube.RefOf(o)
		alone, err := c.Get(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, where := range []string{namespace, ""} {
			listed, err := c.List(t.Context(), ref.GVK(), where, "listed="+namespace)
			if err != nil || len(listed) != 1 {
				t.Fatalf("%s in %q: %d objects, want 1: %v", ref, where, len(listed), err)
			}
			if ref.Kind == "Deployment" || ref.Kind == "HorizontalPodAutoscaler" { // Their controllers have written to them meanwhile.
				if diff := cmp.Diff(alone.Object["spec"], listed[0].Object["spec"]); diff != "" || kube.RefOf(&listed[0]) != ref {
					t.Errorf("%s in a list is %s (-alone +listed):\n%s", ref, kube.RefOf(&listed[0]), diff)
				}
			} else if diff := cmp.Diff(alone.Object, listed[0].Object); diff != "" {
				t.Errorf("%s in %q is not the same in a list (-alone +listed):\n%s", ref, where, diff)
			}
		}
	}
	namespaces, err := c.List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, "", "kubernetes.io/metadata.name="+namespace)
	if err != nil || len(namespaces) != 1 || namespaces[0].GetName() != namespace {
		t.Errorf("Namespaces %v, want the one of the test: %v", namespaces, err)
	}
}

func TestAListIsOfNoOtherPath(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	if found, err := c.List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, "../nodes", ""); err == nil || !strings.Contains(err.Error(), "may not contain '/'") {
		t.Errorf("%d objects of a namespace that is a path: %v", len(found), err)
	}
}
