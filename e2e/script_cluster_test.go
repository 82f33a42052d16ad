package e2e_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/towline/towline/internal/kube"
)

// onCluster lets a script use the cluster of the tests: $KUBECONFIG is its
// kubeconfig and $NS the name of a namespace for the script alone, which is not
// there yet and is deleted at the end.
func onCluster(ts *testscript.TestScript, _ bool, _ []string) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		ts.Fatalf(`KUBECONFIG is not set: run "make test", or export KUBECONFIG=$(towline cluster kubeconfig) first`)
	}
	namespace := "script-" + strings.ToLower(rand.Text()[:8])
	ts.Setenv("KUBECONFIG", path)
	ts.Setenv("NS", namespace)
	ts.Defer(func() {
		cluster, err := kube.Connect("", "")
		ts.Check(err)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ts.Check(cluster.Delete(ctx, namespaceRef(namespace), ""))
	})
}
