package kubectl_test

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/kubectl"
	"github.com/towline/towline/internal/deploy/methodtest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/localkube"
)

var _ methodtest.Method = (*kubectl.Method)(nil)

func TestKubectl(t *testing.T) {
	methodtest.Run(t, func(c *kube.Cluster) methodtest.Method { return newMethod(t, c) })
}

// TestKubectlOfAStoredCluster writes with credentials that are in no kubeconfig
// of the user's.
func TestKubectlOfAStoredCluster(t *testing.T) {
	user := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, user)
	credential, err := kube.FromKubeconfig(os.Getenv("KUBECONFIG"), "")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := kube.ConnectWith(user.Context, credential)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := stored.KubeconfigContext(); ok {
		t.Fatal("the cluster is said to come from a kubeconfig")
	}
	m := newMethod(t, stored)
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "web", "namespace": namespace}}}
	applied, err := m.Apply(t.Context(), object, kube.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(t.Context(), kube.RefOf(object), applied.GetUID()); err != nil {
		t.Error(err)
	}
}

// newMethod takes the kubectl that $TOWLINE_TEST_KUBECTL names, or that of the
// local cluster, whose context is called as the cluster is, or the one on $PATH.
func newMethod(t testing.TB, cluster *kube.Cluster) *kubectl.Method {
	t.Helper()
	path := os.Getenv("TOWLINE_TEST_KUBECTL")
	if local, err := localkube.New(localkube.Config{Name: cluster.Context}); err == nil && path == "" {
		path, _ = local.Kubectl() // without one, that on $PATH
	}
	m, err := kubectl.New(t.Context(), kubectl.Config{Cluster: cluster, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
