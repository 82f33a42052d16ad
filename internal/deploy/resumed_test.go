package deploy

import (
	"errors"
	"strings"
	"testing"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// The Service of a first deployment comes with the selector that it is to have,
// so that a resumed one finds it as it is after a cut-over.
func TestAFirstCutOverThatWasKilledIsRehearsedAllTheSame(t *testing.T) {
	b := setup(t)
	b.write(t, web(webImage(t), 1, "VERSION=1")+ready, webService)
	request := b.unmeasured(plan.BlueGreen)
	request.Drain, request.Key = "warn", "first"
	b.deployKilled(t, request, "deploying apply Service web")
	d := b.deploy(t, request)
	if d.Outcome != pipeline.Succeeded || len(d.Drain) != 1 {
		t.Errorf("outcome %s, %d rehearsals: %s", d.Outcome, len(d.Drain), d.Message)
	}
}

// The Deployment of a rolling revision has no mark of a set, and once the
// requests have moved no Service leads to it.
func TestTheOldDeploymentOfAResumedCutOverStaysToGoBackTo(t *testing.T) {
	b := setup(t)
	request := b.second(t, b.unmeasured(plan.Rolling))
	request.Propagation, request.ScaleDownDelay = "3s", "1s"
	propagates := func(line string) bool { return strings.HasPrefix(line, "propagation: ") }
	if _, _, err := b.slice(t, request, propagates, 0); !errors.Is(err, pipeline.ErrShutdown) {
		t.Fatalf("the first slice ended with %v, want a shutdown after the switch", err)
	}
	d, log, err := b.slice(t, request, func(string) bool { return false }, 0)
	if err != nil || d.Outcome != pipeline.Succeeded {
		t.Fatalf("resumed: %+v, %v", d, err)
	}
	if !strings.Contains(log, "keep") {
		t.Errorf("the old Deployment was not kept whole for a while:\n%s", log)
	}
	old, err := b.cluster.Get(t.Context(), kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: b.namespace, Name: "web"})
	if err != nil {
		t.Fatalf("the old Deployment cannot be gone back to: %v", err)
	}
	if n := plan.ReplicasOf(old); n != 0 {
		t.Errorf("the old Deployment has %d replicas at the end, want 0", n)
	}
}
