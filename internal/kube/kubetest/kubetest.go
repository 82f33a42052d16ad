// Package kubetest gives tests the cluster that $KUBECONFIG names, a namespace
// of their own on it, and a proxy before its API server that lets faults
// befall requests.
package kubetest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/kube"
)

// Connect returns the cluster of $KUBECONFIG. A test without one fails: it
// would show nothing.
func Connect(tb testing.TB) *kube.Cluster {
	tb.Helper()
	cluster, err := kube.Connect(pathFromEnvironment(tb), "")
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := cluster.Ping(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return cluster
}

func pathFromEnvironment(tb testing.TB) string {
	tb.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		tb.Fatal("this test needs a Kubernetes cluster: run it by `make test`, or bring one up with `towline cluster up` and set KUBECONFIG to what `towline cluster kubeconfig` prints")
	}
	return path
}

// Namespace creates a namespace for one test, which is deleted at its end.
func Namespace(tb testing.TB, cluster *kube.Cluster) string {
	tb.Helper()
	name := Name(tb)
	if _, err := cluster.EnsureNamespace(tb.Context(), name); err != nil {
		tb.Fatal(err)
	}
	return name
}

// Name returns a random name of a namespace that does not exist yet. If it
// does at the end of the test, it is deleted.
func Name(tb testing.TB) string {
	tb.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:10])
	tb.Cleanup(func() {
		cluster, err := kube.Connect(os.Getenv("KUBECONFIG"), "")
		if err != nil {
			tb.Error(err)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 30*time.Second)
		defer cancel()
		if err := cluster.Delete(ctx, kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: name}, ""); err != nil {
			tb.Error(err)
		}
	})
	return name
}
