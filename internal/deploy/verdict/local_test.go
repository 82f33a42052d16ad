package verdict

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/pipeline"
)

// The nodes on which the old pods run stop to answer when the last of them has
// gone there: their ports say nothing of what users get.
func TestANodePortThatLeadsToItsOwnPodsOnlyIsNotAsked(t *testing.T) {
	t.Parallel()
	x := serveTarget(t, kubetest.Connect(t), 0, nil)
	service := "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, externalTrafficPolicy: Local, internalTrafficPolicy: Local, ports: [{port: 80, targetPort: 8080}]}}"
	x.apply(t, service)
	for from, want := range map[string]string{
		"direct": "externalTrafficPolicy is Local",
		"pod":    "internalTrafficPolicy is Local",
	} {
		err := x.watchman(t, pipeline.Verify{From: from}).start(t.Context(), reachTime)
		if !refusal.Is(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("from %s: %v, want a refusal with %q", from, err, want)
		}
	}
	w := x.watchman(t, pipeline.Verify{})
	startWell(t, w)
	if v := w.snapshot(); v.Via != viaProxy {
		t.Errorf("by %s, want %s", v.Via, viaProxy)
	}
	if log := x.log.String(); !strings.Contains(log, "Service web is asked not by its node ports, since externalTrafficPolicy is Local") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}
