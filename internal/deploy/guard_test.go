package deploy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/invariant"
	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

func TestWhatTheInvariantsAreAbout(t *testing.T) {
	t.Parallel()
	object := func(text string) manifest.Object {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			t.Fatal(err)
		}
		for _, path := range [][]string{{"spec", "replicas"}, {"status", "desiredNumberScheduled"}} {
			if n, ok, _ := unstructured.NestedFloat64(o.Object, path...); ok {
				_ = unstructured.SetNestedField(o.Object, int64(n), path...)
			}
		}
		o.SetNamespace("shop")
		return manifest.Object{Unstructured: o}
	}
	workload := func(kind, name, more string) manifest.Object {
		return object(`{apiVersion: apps/v1, kind: ` + kind + `, metadata: {name: ` + name + `}, spec: {selector: {matchLabels: {app: ` + name + `}}, template: {metadata: {labels: {app: ` + name + `}}}` + more + `}`)
	}
	service := func(name string) manifest.Object {
		return object(`{apiVersion: v1, kind: Service, metadata: {name: ` + name + `}, spec: {selector: {app: ` + name + `}}}`)
	}
	node, live := workload("DaemonSet", "node", "}"), workload("DaemonSet", "node", "}, status: {desiredNumberScheduled: 5}")
	scaled := workload("StatefulSet", "queue", ", replicas: 1}")
	r := &run{Deployer: &Deployer{}, situation: plan.Situation{
		Namespace: "shop", Strategy: plan.Rolling,
		Desired: []manifest.Object{
			service("web"), service("db"), service("node"), service("queue"), service("nobody"),
			workload("Deployment", "web", ", replicas: 4}"), workload("StatefulSet", "db", ", replicas: 3}"), node, scaled, workload("Deployment", "worker", ", replicas: 2}"),
		},
		Live:   map[string]*unstructured.Unstructured{kube.RefOf(live.Unstructured).ID(): live.Unstructured, kube.RefOf(scaled.Unstructured).ID(): workload("StatefulSet", "queue", ", replicas: 6}").Unstructured},
		Scaled: map[string]string{kube.RefOf(scaled.Unstructured).ID(): "HorizontalPodAutoscaler queue"},
	}}
	config := r.watched()
	want := []invariant.Target{{Name: "web", Enough: 3}, {Name: "db", Enough: 2}, {Name: "node", Enough: 4}, {Name: "queue", Enough: 5}}
	if diff := cmp.Diff(want, config.Services); diff != "" {
		t.Errorf("Services (-want +got):\n%s", diff)
	}
	if n := len(config.Workloads); n != 5 {
		t.Errorf("%d workloads are watched, want all 5: %+v", n, config.Workloads)
	}
}

// Somebody moves the requests by hand while a deployment goes back: that is
// theirs to decide, and it is said.
func TestARevertThatMeetsSomebodyElseStopsAndSaysSo(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	b.write(t, web(image, 1, "VERSION=1")+ready, webService)
	request := b.unmeasured(plan.BlueGreen)
	request.ScaleDownDelay, request.Timeout = "30s", "20s"
	b.deployWell(t, request)
	first := b.selects(t)
	b.write(t, web(image, 1, "VERSION=2")+ready, webService)
	config := b.config
	config.Revert = 20 * time.Second
	var decided error
	config.reached = func(point string) {
		switch point {
		case "deploying switch Service web":
			j, err := journal.Open(t.Context(), b.cluster, "web", b.namespace)
			decided = errors.Join(err, j.Decide(t.Context(), journal.Decision{Revision: 2, Choice: journal.Abort, By: "bob@laptop", At: time.Now()}))
		case "reverting switch Service web":
			b.applyAs(t, "anna", strings.ReplaceAll(webService, "{app: web}", "{app: web, by: anna}"))
		}
	}
	d, err := New(config).Deploy(t.Context(), request)
	if err != nil || decided != nil || d.Outcome != pipeline.Failed || d.Reverted {
		t.Fatalf("outcome %s, reverted %t: %s, %v, %v", d.Outcome, d.Reverted, d.Message, err, decided)
	}
	for _, want := range []string{"aborted by bob@laptop", "by=anna", "not this deployment that set it but anna", "What the revert has brought back so far stays"} {
		if !strings.Contains(d.Message, want) {
			t.Errorf("the record says %q, want %q", d.Message, want)
		}
	}
	if sets := b.sets(t); sets["web-"+first] != 1 {
		t.Errorf("%v, want the old set whole", sets)
	}
}
