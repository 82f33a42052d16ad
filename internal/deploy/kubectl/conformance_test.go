package kubectl_test

import (
	"os"
	"testing"

	"github.com/towline/towline/internal/deploy/kubectl"
	"github.com/towline/towline/internal/deploy/methodtest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube"
)

var _ methodtest.Method = (*kubectl.Method)(nil)

func TestKubectl(t *testing.T) {
	methodtest.Run(t, func(c *kube.Cluster) methodtest.Method { return newMethod(t, c) })
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
