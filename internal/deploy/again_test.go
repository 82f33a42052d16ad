package deploy

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/deploy/plan"
)

// What has been drained has been scaled to none by us: to bring it forward
// again is no conflict with ourselves. Rolling after sets gives the Service
// another selector in place, which is our doing and nobody else's.
func TestADrainedDeploymentComesForwardAgain(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	version := func(v string) {
		b.write(t, web(image, 2, "VERSION="+v)+ready, webService)
	}
	deploy := func(v, strategy string) {
		t.Helper()
		version(v)
		b.deployWell(t, b.unmeasured(strategy))
	}
	deploy("1", plan.Rolling)
	deploy("2", plan.BlueGreen)
	deploy("3", plan.BlueGreen)
	deploy("2", plan.BlueGreen) // its set is still there, drained
	// And so is the Deployment of the first revision, whose manifest now leaves
	// the number of pods to others: it must not stay at none.
	version = func(v string) {
		b.write(t, strings.Replace(web(image, 2, "VERSION="+v), "  replicas: 2\n", "", 1)+ready, webService)
	}
	deploy("4", plan.Rolling)
	if sets := b.sets(t); len(sets) != 1 || sets["web"] != 2 {
		t.Errorf("Deployments %v, want web with 2 replicas alone", sets)
	}
}

func TestAServiceIsNotLeftWithoutPods(t *testing.T) {
	b := setupMeasured(t)
	image := webImage(t)
	b.write(t, web(image, 2, "VERSION=1", "MODE=graceful")+ready, webService)
	b.deployFirst(t)
	labelled := strings.Replace(web(image, 2, "VERSION=2", "MODE=graceful"), "metadata: {labels: {app: web}}", "metadata: {labels: {app: web, tier: front}}", 1)
	b.write(t, labelled+ready, strings.Replace(webService, "selector: {app: web}", "selector: {app: web, tier: front}", 1))
	d := b.deployWell(t, b.measured(plan.Rolling))
	if d.Strategy != plan.Immutable {
		t.Errorf("strategy %s: a rolling update would have left the Service without pods", d.Strategy)
	}
	b.wantNoLoss(t, d)
}
