package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/pipeline"
)

// cutover is a request with the waits of a cluster of one machine.
func (b *bundle) cutover(strategy string) Request {
	request := b.request()
	request.Strategy, request.Propagation, request.Analysis, request.ScaleDownDelay, request.Drain = strategy, "1s", "1s", "1s", "off"
	return request
}

// measured is a cut-over whose losses are looked at while other tests run.
func (b *bundle) measured(strategy string) Request {
	request := b.request()
	if strategy != plan.Rolling {
		request = b.cutover(strategy)
	}
	request.Strategy, request.Propagation, request.Verify.Rate = strategy, safeRecipe.Detach.String(), measuredRate
	return request
}

func TestASecondSetTakesOverWithoutLoss(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{plan.Immutable, plan.BlueGreen} {
		t.Run(strategy, func(t *testing.T) {
			b := setupMeasured(t)
			image := webImage(t)
			request := b.measured(strategy)
			version := func(v string) {
				b.write(t, web(image, 3, "VERSION="+v, "MODE=graceful", "WORK=10ms")+ready, webService)
			}
			version("1")
			b.deployFirst(t, request)
			first := b.sets(t)
			version("2")
			d := b.deployWell(t, request)
			t.Logf("verdict: %s in %.1f s", d.Verdict, d.Seconds)
			b.wantNoLoss(t, d)
			second := b.sets(t)
			if len(first) != 1 || len(second) != 2 {
				t.Fatalf("sets %v, then %v, want one and then two", first, second)
			}
			for name, replicas := range second {
				want := 3
				if _, old := first[name]; old {
					want = 0
				}
				if replicas != want {
					t.Errorf("set %s has %d replicas, want %d", name, replicas, want)
				}
			}
			d = b.deployWell(t, request)
			if strings.Contains(b.log.String()[strings.LastIndex(b.log.String(), "plan    revision 3"):], "switch") {
				t.Error("a deployment that changes nothing has switched")
			}
			b.wantNoLoss(t, d)
			d, err := New(b.config).Rollback(t.Context(), RollbackRequest{App: "web", Namespace: b.namespace, To: 1, Log: b.log})
			if err != nil || d.Outcome != pipeline.Succeeded {
				t.Fatalf("rollback: %s, %v", d.Message, err)
			}
			b.wantNoLoss(t, d)
			for name, replicas := range b.sets(t) {
				if _, old := first[name]; (replicas == 3) != old {
					t.Errorf("after the rollback set %s has %d replicas", name, replicas)
				}
			}
		})
	}
}

func TestGreenGetsNoRequestBeforeItIsPromoted(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	b.write(t, web(image, 2, "VERSION=1", "MODE=graceful")+ready, webService)
	b.deployFirst(t) // rolling: its Service selects whatever is app=web
	b.write(t, web(image, 2, "VERSION=2", "MODE=broken")+ready, webService)
	d := b.deploy(t, b.cutover(plan.BlueGreen))
	if d.Outcome != pipeline.Failed || !d.Reverted {
		t.Fatalf("outcome %s, reverted %v, want a deployment that loses requests once it is promoted and goes back", d.Outcome, d.Reverted)
	}
	t.Logf("%s\n%s", d.Message, d.Verdict)
	live, err := b.cluster.Get(t.Context(), b.ref("v1", "Service", "web"))
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.SelectorText(plan.SelectorOf(live)); got != "app=web" {
		t.Errorf("the Service selects %s, want what it did before", got)
	}
	if sets := b.sets(t); len(sets) != 1 || sets["web"] != 2 {
		t.Errorf("Deployments %v, want the one from before, whole", sets)
	}
}

// sets are the replicas of the Deployments by name.
func (b *bundle) sets(t testing.TB) map[string]int {
	t.Helper()
	list, err := b.cluster.List(t.Context(), schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, b.namespace, "")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for i := range list {
		found[list[i].GetName()] = plan.ReplicasOf(&list[i])
	}
	return found
}

func (b *bundle) wantNoLoss(t testing.TB, d pipeline.Deployment) {
	t.Helper()
	if v := d.Verdict; v == nil || v.Lost != 0 || v.Requests == 0 {
		t.Errorf("verdict %+v, want 0 lost", v)
	}
}

const migration = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {towline.dev/hook: before}}
spec:
  template:
    metadata: {labels: {app: migrate}}
    spec: {restartPolicy: Never, terminationGracePeriodSeconds: 1, containers: [{name: web, image: "%s", env: [{name: MODE, value: "%s"}]}]}
`

func TestACutOverKilledAtAnyPointIsResumed(t *testing.T) {
	t.Parallel()
	for strategy, points := range map[string][]string{
		plan.BlueGreen: {"run Job migrate-2-1", "wait Deployment web", "switch Service web", "drain Deployment web"},
		plan.Immutable: {"switch Service web", "match  "},
	} {
		for _, point := range points {
			t.Run(strategy+" killed at "+point, func(t *testing.T) {
				b := setup(t)
				image := webImage(t)
				b.write(t, web(image, 2, "VERSION=1", "MODE=graceful")+ready, webService)
				first := b.cutover(strategy)
				first.Verify.Off = true
				b.deployWell(t, first)
				b.write(t, web(image, 2, "VERSION=2", "MODE=graceful")+ready, webService, fmt.Sprintf(migration, image, "done"))
				request := b.cutover(strategy)
				request.Key = "web-2.Deploy.1.production"
				request.Verify.Budget = 1 << 20 // What is lost on a busy machine is another test's matter.
				b.deployKilled(t, request, "deploying "+point)
				d := b.deployWell(t, request)
				if d.Revision != 2 || d.Previous != 1 {
					t.Errorf("revision %d after %d, want 2 after 1", d.Revision, d.Previous)
				}
				replicas := slices.Sorted(maps.Values(b.sets(t)))
				if !slices.Equal(replicas, []int{0, 2}) {
					t.Errorf("sets with %v replicas, want the old one at none and the new one at 2", replicas)
				}
				jobs, err := b.cluster.List(t.Context(), schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}, b.namespace, "")
				if err != nil || len(jobs) != 1 {
					t.Errorf("%d jobs, error %v, want the one migration", len(jobs), err)
				}
			})
		}
	}
}

func TestAMigrationThatFailsStopsBeforeAnyWorkload(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	b.write(t, web(image, 1, "VERSION=1")+ready, webService)
	b.deployFirst(t)
	before := b.generation(t)
	b.write(t, web(image, 1, "VERSION=2")+ready, webService, fmt.Sprintf(migration, image, "crash"))
	d := b.deploy(t, b.request())
	if d.Outcome != pipeline.Failed || !strings.Contains(d.Message, "boom: no database") {
		t.Errorf("%s: %s, want a failure with the last lines of the migration", d.Outcome, d.Message)
	}
	if got := b.generation(t); got != before {
		t.Errorf("the Deployment is at generation %d, was %d: a workload was touched", got, before)
	}
}
