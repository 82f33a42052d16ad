package deploy

import (
	"fmt"
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube/kubetest"
)

// hear puts a proxy before the cluster of a bundle that hears what it is asked.
func (b *bundle) hear(t *testing.T) (asked func() map[string]int) {
	t.Helper()
	proxy := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Slow, Count: -1, For: time.Nanosecond}}})
	b.config.Cluster = proxy.Cluster
	return func() map[string]int {
		found := map[string]int{}
		for _, hit := range proxy.Hits() {
			found[hit.Verb+" "+hit.Resource]++
		}
		return found
	}
}

func TestAPlanReadsTheDeploymentsOnce(t *testing.T) {
	b := setup(t)
	b.write(t, fmt.Sprintf(noPods, 1), webService)
	b.deployFirst(t)
	asked := b.hear(t)
	request := b.unmeasured(plan.Immutable)
	if _, err := New(b.config).Preview(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := asked(); got["list deployments"] != 1 || got["get deployments"] != 0 {
		t.Errorf("asked %v, want one list of the Deployments", got)
	}
}
