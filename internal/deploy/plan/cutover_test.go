package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// deployment is a Deployment whose pods have the labels.
func deployment(name string, replicas int, labels string) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, namespace: shop}, spec: {replicas: %d, selector: {matchLabels: {%s}}, template: {metadata: {labels: {%s}}}}}`,
		name, replicas, labels, labels)
}

func service(name, selector string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: shop}, spec: {selector: {%s}, ports: [{port: 80}]}}`, name, selector)
}

const (
	oldMark = "0ld0ld00"
	scaler  = `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web, namespace: shop}, spec: {minReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}`
	worker  = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: worker, namespace: shop}, spec: {selector: {matchLabels: {app: worker}}, template: {metadata: {labels: {app: worker}}}}}`
	redis   = `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: redis, namespace: shop}}`
)

// oldSet is a set of an earlier revision, as it is in the cluster.
func oldSet(t *testing.T, replicas int) Set {
	t.Helper()
	o := parse(t, mine(deployment("web-"+oldMark, replicas, "app: web, towline.dev/set: "+oldMark)))
	labels := o.GetLabels()
	labels[SetLabel], labels[WorkloadLabel] = oldMark, "web"
	o.SetLabels(labels)
	return Set{Live: o, Kept: true, Hash: "h1"}
}

// cutting is a situation with two sets.
type cutting struct {
	strategy string
	desired  []string
	live     []string
	sets     []Set
	floor    int
	knobs    Knobs
	back     bool
	resolved bool   // the cluster has the desired objects already
	moved    string // a Service that the cluster has as desired
}

func (c cutting) plan(t *testing.T) ([]Step, error) {
	t.Helper()
	s := situation(t, 2, c.desired, c.live, nil)
	s.Strategy, s.Knobs, s.Sets, s.Back = c.strategy, c.knobs, c.sets, c.back
	var err error
	if s.Desired, err = SideBySide(s.Desired, c.strategy == BlueGreen); err != nil {
		t.Fatal(err)
	}
	s.Desired = manifest.Sort(s.Desired)
	s.Hashes, s.Floor = map[string]string{}, map[string]int{"web": c.floor}
	for _, o := range s.Desired {
		if name, found, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "name"); found {
			s.Scaled[kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: name}.ID()] = "HorizontalPodAutoscaler web"
		}
	}
	for _, o := range s.Desired {
		if c.resolved || c.moved != "" && o.GetName() == c.moved {
			s.Live[kube.RefOf(o.Unstructured).ID()] = o.Unstructured
		}
	}
	for _, set := range c.sets {
		s.Live[set.Ref().ID()] = set.Live
	}
	return Plan(s)
}

// texts are the steps without their requests, with the new set's mark as NEW.
func texts(steps []Step) []string {
	var lines []string
	mark := ""
	for _, s := range steps {
		if hash := s.Ref.Name; s.Ref.Kind == "Deployment" && s.Object != nil && s.Object.GetLabels()[SetLabel] != "" {
			mark = strings.TrimPrefix(hash, WorkloadOf(s.Object)+"-")
		}
	}
	for _, s := range steps {
		s.Request = ""
		line := s.String()
		if mark != "" {
			line = strings.ReplaceAll(line, mark, "NEW")
		}
		lines = append(lines, line)
	}
	return lines
}

func TestPlanCutOver(t *testing.T) {
	t.Parallel()
	web, svc := deployment("web", 3, "app: web"), service("web", "app: web")
	active := mine(service("web", "app: web, towline.dev/set: "+oldMark))
	waits := Knobs{Propagation: 10 * time.Second, ScaleDownDelay: 30 * time.Second}
	union := waits
	union.Union = true
	asking := waits
	asking.Approval, asking.ApprovalWait, asking.Drain = true, time.Hour, "warn"
	asking.Checks = pipeline.Checks{Before: []pipeline.Check{{Name: "smoke"}}, After: []pipeline.Check{{Name: "errors"}}}
	foreign := Set{Live: parse(t, deployment("web", 3, "app: web")), Kept: true, Hash: "h1"}
	rolling := foreign
	rolling.Hash = ""
	const (
		alone   = "the new pods, and they alone, are its endpoints"
		all10   = alone + ", then 10s for every node and load balancer to know"
		pruning = "drain Deployment web-0ld0ld00: 3 pods in batches"
		keeping = "keep: the old set stays whole for 30s: `towline abort web` goes back within a second"
	)
	cases := map[string]struct {
		cutting
		want []string
	}{
		"blue-green, first deployment": {cutting{strategy: BlueGreen, desired: []string{web, svc}, knobs: waits}, []string{
			"apply Service web-preview (create)", "apply Service web (create)", "apply Deployment web-NEW (create): 3 replicas",
			"wait Deployment web-NEW: all its pods are ready", "serve Service web: " + all10,
		}},
		"blue-green, the next one": {cutting{strategy: BlueGreen, desired: []string{web, svc}, live: []string{active}, sets: []Set{oldSet(t, 3)}, knobs: waits}, []string{
			"apply Service web-preview (create)", "apply Service web (update)", "apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web-preview: " + alone, "match: the new set is as large as the old one is now",
			"switch Service web: promote: app=web,towline.dev/set=0ld0ld00 -> app=web,towline.dev/set=NEW", "serve Service web: " + all10, keeping, pruning,
		}},
		"blue-green, parked without pods": {cutting{strategy: BlueGreen, desired: []string{deployment("web", 0, "app: web"), svc}, live: []string{active}, sets: []Set{oldSet(t, 0)}, knobs: waits}, []string{
			"apply Service web-preview (create)", "apply Service web (update)", "apply Deployment web-NEW (create): 0 replicas", "wait Deployment web-NEW: all its pods are ready",
			"switch Service web: to the first set: app=web,towline.dev/set=0ld0ld00 -> app=web,towline.dev/set=NEW",
		}},
		"blue-green, more pods than the manifest says while an autoscaler wants them": {cutting{strategy: BlueGreen, desired: []string{web, svc, scaler}, live: []string{active}, sets: []Set{oldSet(t, 5)}, floor: 7, knobs: waits}, []string{
			"apply Service web-preview (create)", "apply Service web (update)", "apply Deployment web-NEW (create): 7 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web-preview: " + alone, "match: the new set is as large as the old one is now",
			"switch Service web: promote: app=web,towline.dev/set=0ld0ld00 -> app=web,towline.dev/set=NEW", "serve Service web: " + all10,
			"apply HorizontalPodAutoscaler web (create)", keeping, "drain Deployment web-0ld0ld00: 5 pods in batches",
		}},
		"blue-green over a Deployment of somebody else's": {cutting{strategy: BlueGreen, desired: []string{web, svc}, live: []string{svc}, sets: []Set{foreign}, knobs: waits}, []string{
			"apply Service web-preview (create)", "apply Service web (update)",
			"switch Service web: keep the new pods out until they are promoted: app=web -> app=web,pod-template-hash=h1",
			"apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web-preview: " + alone, "match: the new set is as large as the old one is now",
			"switch Service web: promote: app=web,pod-template-hash=h1 -> app=web,towline.dev/set=NEW", "serve Service web: " + all10, keeping, "drain Deployment web: 3 pods in batches",
		}},
		"blue-green, resumed after the new pods were kept out": {cutting{strategy: BlueGreen, desired: []string{web, svc}, live: []string{mine(service("web", "app: web, pod-template-hash: h1"))}, sets: []Set{foreign}, knobs: waits}, []string{
			"apply Service web-preview (create)", "apply Service web (update)",
			"apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web-preview: " + alone, "match: the new set is as large as the old one is now",
			"switch Service web: promote: app=web,pod-template-hash=h1 -> app=web,towline.dev/set=NEW", "serve Service web: " + all10, keeping, "drain Deployment web: 3 pods in batches",
		}},
		"blue-green with both sets serving for a while": {cutting{strategy: BlueGreen, desired: []string{web, svc}, live: []string{active}, sets: []Set{oldSet(t, 3)}, knobs: union}, []string{
			"apply Service web-preview (create)", "apply Service web (update)", "apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web-preview: " + alone, "match: the new set is as large as the old one is now",
			"switch Service web: both sets serve while load balancers take the new pods in: app=web,towline.dev/set=0ld0ld00 -> app=web",
			"serve Service web: every new pod is an endpoint, then 10s for every node and load balancer to know",
			"switch Service web: promote: app=web -> app=web,towline.dev/set=NEW", "serve Service web: " + all10, keeping, pruning,
		}},
		"blue-green with all questions": {cutting{strategy: BlueGreen, desired: []string{web, svc}, live: []string{active}, sets: []Set{oldSet(t, 3)}, knobs: asking}, []string{
			"apply Service web-preview (create)", "apply Service web (update)", "apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web-preview: " + alone, "rehearse: see on a spare pod that no Service selects how the new pods end", "check Service web-preview: smoke",
			"approve: `towline promote web` goes on, `towline abort web` goes back", "match: the new set is as large as the old one is now",
			"switch Service web: promote: app=web,towline.dev/set=0ld0ld00 -> app=web,towline.dev/set=NEW", "serve Service web: " + all10, "check Service web: errors", keeping, pruning,
		}},
		"blue-green, nothing changed": {cutting{strategy: BlueGreen, desired: []string{web, svc}, resolved: true, sets: []Set{oldSet(t, 0)}, knobs: waits}, []string{
			"apply Service web-preview (update)", "apply Service web (update)", "apply Deployment web-NEW (update)",
			"wait Deployment web-NEW: all its pods are ready", "serve Service web: " + all10,
		}},
		"blue-green, resumed after the switch": {cutting{strategy: BlueGreen, desired: []string{web, svc}, resolved: true, sets: []Set{oldSet(t, 3)}, knobs: asking}, []string{
			"apply Service web-preview (update)", "apply Service web (update)", "apply Deployment web-NEW (update)",
			"wait Deployment web-NEW: all its pods are ready", "serve Service web: " + all10, "check Service web: errors", keeping, pruning,
		}},
		"blue-green, resumed between the switches of two Services": {cutting{strategy: BlueGreen, desired: []string{web, svc, service("web-two", "app: web")}, moved: "web",
			live: []string{mine(service("web-two", "app: web, towline.dev/set: "+oldMark))}, sets: []Set{oldSet(t, 3)}, knobs: union}, []string{
			"apply Service web-preview (create)", "apply Service web-two-preview (create)", "apply Service web (update)", "apply Service web-two (update)",
			"apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web-preview: " + alone, "serve Service web-two-preview: " + alone, "match: the new set is as large as the old one is now",
			"switch Service web-two: both sets serve while load balancers take the new pods in: app=web,towline.dev/set=0ld0ld00 -> app=web",
			"serve Service web-two: every new pod is an endpoint, then 10s for every node and load balancer to know",
			"switch Service web-two: promote: app=web -> app=web,towline.dev/set=NEW", "serve Service web: " + all10, "serve Service web-two: " + all10, keeping, pruning,
		}},
		"immutable, resumed between the detaching of two Services": {cutting{strategy: Immutable, desired: []string{web, svc, service("web-two", "app: web")}, moved: "web",
			live: []string{mine(service("web-two", "app: web"))}, sets: []Set{oldSet(t, 3)}, knobs: waits}, []string{
			"apply Service web (update)", "apply Service web-two (update)", "apply Deployment web-NEW (create): 1 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web: every new pod is an endpoint", "serve Service web-two: every new pod is an endpoint",
			"apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web: every new pod is an endpoint", "serve Service web-two: every new pod is an endpoint", "match: the new set is as large as the old one is now",
			"switch Service web-two: detach the old set: app=web -> app=web,towline.dev/set=NEW", "serve Service web: " + all10, "serve Service web-two: " + all10, keeping, pruning,
		}},
		"a set larger than the manifest says gets that size in the end": {cutting{strategy: BlueGreen, desired: []string{web, svc}, resolved: true, floor: 5, knobs: waits}, []string{
			"apply Service web-preview (update)", "apply Service web (update)", "apply Deployment web-NEW (update): 5 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web: " + all10, "apply Deployment web-NEW (update)", "wait Deployment web-NEW: new pods ready and serving, old ones gone",
		}},
		"a set whose manifest names no size keeps it": {cutting{strategy: BlueGreen, desired: []string{strings.Replace(web, "replicas: 3, ", "", 1), svc}, resolved: true, floor: 5, knobs: waits}, []string{
			"apply Service web-preview (update)", "apply Service web (update)", "apply Deployment web-NEW (update): 5 replicas", "wait Deployment web-NEW: all its pods are ready",
			"serve Service web: " + all10,
		}},
		"a set that no revision goes back to is deleted": {cutting{strategy: BlueGreen, desired: []string{web, svc}, resolved: true, sets: []Set{{Live: oldSet(t, 0).Live}}, knobs: waits}, []string{
			"apply Service web-preview (update)", "apply Service web (update)", "apply Deployment web-NEW (update)",
			"wait Deployment web-NEW: all its pods are ready", "serve Service web: " + all10, "prune Deployment web-0ld0ld00: no revision to go back to has it",
		}},
		"immutable": {cutting{strategy: Immutable, desired: []string{web, svc, worker}, live: []string{active}, sets: []Set{oldSet(t, 3)}, knobs: waits}, []string{
			"apply Service web (update)",
			"switch Service web: both sets may serve: app=web,towline.dev/set=0ld0ld00 -> app=web",
			"apply Deployment web-NEW (create): 1 replicas", "wait Deployment web-NEW: all its pods are ready", "serve Service web: every new pod is an endpoint",
			"apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready", "serve Service web: every new pod is an endpoint",
			"match: the new set is as large as the old one is now",
			"switch Service web: detach the old set: app=web -> app=web,towline.dev/set=NEW", "serve Service web: " + all10,
			"apply Deployment worker (create)", "wait Deployment worker: new pods ready and serving, old ones gone", keeping, pruning,
		}},
		"immutable, where no selector means both sets": {cutting{strategy: Immutable, desired: []string{deployment("web", 3, "app: shop"), service("web", "app: shop")}, live: []string{svc}, sets: []Set{foreign}, knobs: waits}, []string{
			"apply Service web (update)", "apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"match: the new set is as large as the old one is now", "switch Service web: detach the old set: app=web -> app=shop,towline.dev/set=NEW", "serve Service web: " + all10,
			keeping, "drain Deployment web: 3 pods in batches",
		}},
		"back to a set that is whole still": {cutting{strategy: BlueGreen, back: true, desired: []string{web, svc}, live: []string{active}, sets: []Set{oldSet(t, 3)}, knobs: asking}, []string{
			"apply Service web-preview (create)", "apply Service web (update)", "apply Deployment web-NEW (create): 3 replicas", "wait Deployment web-NEW: all its pods are ready",
			"switch Service web: back: app=web,towline.dev/set=0ld0ld00 -> app=web,towline.dev/set=NEW", "serve Service web: " + all10, pruning,
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps, err := c.plan(t)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, texts(steps)); diff != "" {
				t.Error("plan (-want +got):\n", diff)
			}
		})
	}
	for name, c := range map[string]struct {
		cutting
		want string
	}{
		"a StatefulSet cannot stand beside itself":                       {cutting{strategy: Immutable, desired: []string{web, svc, redis}}, "StatefulSet/redis in namespace shop cannot be deployed by immutable"},
		"green cannot be kept out while the old pods have several marks": {cutting{strategy: BlueGreen, desired: []string{web, svc}, live: []string{svc}, sets: []Set{rolling}}, "would get requests before they are promoted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := c.plan(t); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestSideBySide(t *testing.T) {
	t.Parallel()
	resolve := func(texts ...string) map[string]*unstructured.Unstructured {
		objects, err := SideBySide(situation(t, 1, texts, nil, nil).Desired, true)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]*unstructured.Unstructured{}
		for _, o := range objects {
			found[o.GetKind()+" "+WorkloadOf(o.Unstructured)] = o.Unstructured
		}
		return found
	}
	web, api := deployment("web", 1, "app: web, tier: front"), deployment("api", 1, "app: api, tier: front")
	apart := resolve(web, api, service("web", "app: web"), service("api", "app: api"), worker, scaler)
	mark := func(o *unstructured.Unstructured) string { return o.GetLabels()[SetLabel] }
	if a, b := mark(apart["Deployment web"]), mark(apart["Deployment api"]); a == b || a == "" || b == "" {
		t.Errorf("marks %q and %q, want two", a, b)
	}
	if got := apart["Deployment worker"]; got.GetName() != "worker" || mark(got) != "" {
		t.Errorf("a Deployment without a Service became %s", got.GetName())
	}
	target, _, _ := unstructured.NestedString(apart["HorizontalPodAutoscaler web"].Object, "spec", "scaleTargetRef", "name")
	if target != apart["Deployment web"].GetName() {
		t.Errorf("the autoscaler scales %s, want the set", target)
	}
	preview := apart["Service web-preview"]
	if preview == nil || SelectorOf(preview)[SetLabel] != mark(apart["Deployment web"]) {
		t.Errorf("preview %v", preview)
	}
	together := resolve(web, api, service("front", "tier: front"))
	if a, b := mark(together["Deployment web"]), mark(together["Deployment api"]); a != b || a == "" {
		t.Errorf("marks %q and %q behind one Service, want the same", a, b)
	}
	changed := resolve(strings.Replace(web, "replicas: 1", "replicas: 9", 1), api, service("front", "tier: front"))
	if mark(changed["Deployment web"]) != mark(together["Deployment web"]) {
		t.Error("another number of replicas made another set")
	}
	changed = resolve(strings.Replace(web, "template: {", "template: {spec: {hostname: a}, ", 1), api, service("front", "tier: front"))
	if mark(changed["Deployment web"]) == mark(together["Deployment web"]) {
		t.Error("another template made the same set")
	}
}
