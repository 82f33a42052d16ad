package deploy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/pipeline"
)

const webRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
`

// A gateway that does late what it has said that it does must lose nothing, on
// the way forward and back.
func TestARouteMovesTheRequestsWithoutLoss(t *testing.T) {
	b := setupMeasured(t)
	image := webImage(t)
	g := b.serveRoute(t)
	request := b.measured(plan.BlueGreen)
	request.Route = "web"
	request.Verify = pipeline.Verify{URL: g.url, Method: "POST", Rate: measuredRate}
	deploy := func(version string) pipeline.Deployment {
		b.write(t, web(image, 2, "VERSION="+version, "MODE=graceful", "WORK=5ms")+ready, webService, webRoute)
		d := b.deploy(t, request)
		t.Logf("revision %d %s, verdict %v in %.1f s", d.Revision, d.Outcome, d.Verdict, d.Seconds)
		return d
	}
	d := deploy("1")
	if d.Outcome != pipeline.Succeeded {
		t.Fatal(d.Message)
	}
	first := b.onlySet(t, nil)
	b.wantWeights(t, g, nil, first+" 1")

	d = deploy("2")
	b.wantNoLoss(t, d)
	if d.Outcome != pipeline.Succeeded {
		t.Fatal(d.Message)
	}
	second := b.onlySet(t, []string{first})
	b.wantWeights(t, g, nil, first+" 100, "+second+" 0", first+" 99, "+second+" 1", first+" 0, "+second+" 100", second+" 1")
	b.wantGone(t, b.ref("v1", "Service", first))

	request.Checks.After = []pipeline.Check{{HTTP: &pipeline.HTTPCheck{Contains: "what it never says"}, Timeout: "1s"}}
	d = deploy("3")
	b.wantNoLoss(t, d)
	if d.Outcome != pipeline.Failed || !d.Reverted {
		t.Fatalf("%s, reverted %v: %s", d.Outcome, d.Reverted, d.Message)
	}
	b.wantWeights(t, g, []string{first, second}, second+" 100, THIRD 0", second+" 99, THIRD 1", second+" 0, THIRD 100", "THIRD 0, "+second+" 100", second+" 1")
	if sets := b.sets(t); len(sets) != 2 || sets[second] != 2 {
		t.Errorf("sets %v, want %s whole, the one before it, and no other", sets, second)
	}
}

// onlySet is the name of the set that is none of the known ones.
func (b *bundle) onlySet(t *testing.T, known []string) string {
	t.Helper()
	var found []string
	for name := range b.sets(t) {
		if !strings.Contains(strings.Join(known, " "), name) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		t.Fatalf("new sets %v beside %v, want one", found, known)
	}
	return found[0]
}

// wantWeights compares what the gateway has seen of the route. With known, the
// one set that is none of these is called THIRD.
func (b *bundle) wantWeights(t *testing.T, g *gateway, known []string, want ...string) {
	t.Helper()
	got := g.took()
	for i := range got {
		for field := range strings.FieldsSeq(got[i]) {
			name := strings.Trim(field, "0123456789,")
			if len(known) > 0 && strings.HasPrefix(field, "web-") && !strings.Contains(strings.Join(known, " "), field) && name != "" {
				got[i] = strings.ReplaceAll(got[i], field, "THIRD")
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("weights (-want +got):\n", diff)
	}
}
