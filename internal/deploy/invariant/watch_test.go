package invariant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/waittest"
)

// plenty is more time than anything takes that is to happen.
const plenty = 3 * time.Minute

// stage is a namespace with a Service, web, of two pods of blue.
type stage struct {
	*testing.T
	cluster   *kube.Cluster
	namespace string
	image     string
	log       *waittest.Log
	preStop   int // seconds
}

func (s *stage) ref(apiVersion, kind, name string) kube.Ref {
	return kube.Ref{APIVersion: apiVersion, Kind: kind, Namespace: s.namespace, Name: name}
}

func (s *stage) deployment(set string) kube.Ref { return s.ref("apps/v1", "Deployment", "web-"+set) }

// apply writes as a manager does that somebody is.
func (s *stage) apply(manager, text string) {
	s.Helper()
	object := parse(s, text)
	object.SetNamespace(s.namespace)
	if _, err := s.cluster.Apply(s.Context(), object, kube.ApplyOptions{Manager: manager, Force: true}); err != nil {
		s.Fatal(err)
	}
}

// applySet writes a Deployment of a set as revision 7 has it.
func (s *stage) applySet(set, version string, replicas int) {
	s.Helper()
	s.applyRevision(7, set, version, replicas)
}

func (s *stage) applyRevision(revision int, set, version string, replicas int) {
	s.Helper()
	lifecycle := ""
	if s.preStop > 0 {
		lifecycle = fmt.Sprintf("\n        lifecycle: {preStop: {sleep: {seconds: %d}}}", s.preStop)
	}
	s.apply(kube.FieldManager, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-%[1]s, labels: {%[2]s: "%[3]d"}}
spec:
  replicas: %[4]d
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector: {matchLabels: {app: web, %[5]s: %[1]s}}
  template:
    metadata: {labels: {app: web, %[5]s: %[1]s}}
    spec:
      containers:
      - name: web
        image: "%[6]s"
        env: [{name: VERSION, value: "%[7]s"}, {name: MODE, value: graceful}]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}%[8]s
`, set, plan.SequenceLabel, revision, replicas, plan.SetLabel, s.image, version, lifecycle))
}

func (s *stage) applyService(manager, selector string) {
	s.Helper()
	s.apply(manager, fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {%s ports: [{port: 80, targetPort: 8080}]}}`, selector))
}

func selecting(set string) string {
	return fmt.Sprintf("selector: {app: web, %s: %s},", plan.SetLabel, set)
}

// serving waits until the Service has exactly so many ready endpoints, all of
// a set.
func (s *stage) serving(set string, n int) {
	s.Helper()
	waittest.Until(s.T, fmt.Sprintf("%d ready endpoints of %s", n, set), func() bool {
		found, err := s.cluster.EndpointSlices(s.Context(), s.namespace, "web")
		if err != nil {
			s.Fatal(err)
		}
		pointers := make([]*discoveryv1.EndpointSlice, len(found))
		for i := range found {
			pointers[i] = &found[i]
		}
		ready := 0
		for _, e := range kube.Endpoints(pointers) {
			if !strings.HasPrefix(e.Pod, "web-"+set+"-") {
				return false
			}
			if e.Ready {
				ready++
			}
		}
		return ready == n
	})
}

func (s *stage) pods(set string) []kube.Ref {
	s.Helper()
	list, err := s.cluster.List(s.Context(), kube.Ref{APIVersion: "v1", Kind: "Pod"}.GVK(), s.namespace, plan.SetLabel+"="+set)
	if err != nil {
		s.Fatal(err)
	}
	var refs []kube.Ref
	for _, pod := range list {
		refs = append(refs, kube.RefOf(&pod))
	}
	return refs
}

func (s *stage) scale(set string, replicas int) {
	s.Helper()
	if err := s.cluster.Scale(s.Context(), s.deployment(set), replicas, kube.Guard{}); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) watch(strategy string, propagation time.Duration) (context.Context, *Handle) {
	s.Helper()
	ctx, handle, err := Watch(s.Context(), Config{
		Cluster: s.cluster, Log: runbook.New(s.log, nil), Namespace: s.namespace, Revision: 7, Strategy: strategy, Propagation: propagation,
		Services: []Target{{Name: "web", Enough: all}}, Workloads: []Workload{{Ref: s.deployment("blue")}, {Ref: s.deployment("green")}},
	})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(handle.Stop)
	return ctx, handle
}

func (s *stage) expect(handle *Handle, set string) {
	s.Helper()
	if err := handle.Expect("web", map[string]string{"app": "web", plan.SetLabel: set}); err != nil {
		s.Fatal(err)
	}
}

// wantEnd waits until a watch ends the deployment, by that invariant.
func (s *stage) wantEnd(ctx context.Context, invariant, text string) {
	s.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(plenty):
		s.Fatal("no breach")
	}
	cause := context.Cause(ctx)
	if !strings.Contains(cause.Error(), text) || !strings.HasSuffix(cause.Error(), "("+invariant+")") {
		s.Errorf("ended because %v\nwant %s %q", cause, invariant, text)
	}
	if owned := invariant == "I4"; refusal.Is(cause) == owned || (Overtaken(cause) != nil) != owned {
		s.Errorf("%v: a refusal %t, overtaken %v", cause, refusal.Is(cause), Overtaken(cause))
	}
	if !strings.Contains(s.log.String(), text) {
		s.Error("the log does not say why")
	}
}

func (s *stage) wantCalm(ctx context.Context, handle *Handle) {
	s.Helper()
	handle.Stop()
	if found := handle.found; found != nil { // Nothing looks any more.
		s.Errorf("breach %v, want none", found)
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		s.Errorf("ended because %v", cause)
	}
}

func TestWatch(t *testing.T) {
	cluster := kubetest.Connect(t)
	image := imagetest.Serve(t, cluster, "../testdata/web")
	cases := map[string]struct {
		preStop int
		run     func(*stage)
	}{
		"a clean rolling update raises nothing":                         {4, cleanRolling},
		"a clean cut-over and its way back raise nothing":               {0, cleanCutOver},
		"a pod that somebody deletes does not end the deployment":       {4, lostPod},
		"a set that is scaled down while it serves is I1":               {4, scaledDown},
		"a set that a person scales down is not":                        {4, scaledByHand},
		"a set that ends right after the cut-over is I2":                {0, endedAtOnce},
		"a new pod without preStop that ends is I2":                     {0, withoutPreStop},
		"an empty selector is I3":                                       {0, emptySelector},
		"a Service that is deleted is I3":                               {0, deletedService},
		"a cut-over to fewer pods is I3":                                {0, fewerPods},
		"a later revision is I4":                                        {0, laterRevision},
		"a selector of somebody else is I4":                             {0, foreignSelector},
		"a watch of what is not there begins, and ends when it is told": {0, nothingThere},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stage{T: t, cluster: cluster, namespace: kubetest.Namespace(t, cluster), image: image, log: &waittest.Log{}, preStop: c.preStop}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the runbook:\n%s", s.log)
				}
			})
			s.applySet("blue", "1", 2)
			s.applyService(kube.FieldManager, selecting("blue"))
			s.serving("blue", 2)
			c.run(s)
		})
	}
}

func cleanRolling(s *stage) {
	ctx, handle := s.watch(plan.Rolling, 4*time.Second)
	before := s.pods("blue")
	s.applySet("blue", "2", 2)
	waittest.Until(s.T, "new pods only", func() bool {
		now := s.pods("blue")
		return len(now) == 2 && now[0] != before[0] && now[0] != before[1] && now[1] != before[0] && now[1] != before[1]
	})
	s.serving("blue", 2)
	s.wantCalm(ctx, handle)
}

func cleanCutOver(s *stage) {
	ctx, handle := s.watch(plan.BlueGreen, 3*time.Second)
	s.applySet("green", "2", 2)
	waittest.Until(s.T, "ready pods of green", func() bool { return s.ready("green") == 2 })
	s.expect(handle, "green")
	s.applyService(kube.FieldManager, selecting("green"))
	s.serving("green", 2)
	s.expect(handle, "blue")
	s.applyService(kube.FieldManager, selecting("blue"))
	s.serving("blue", 2)
	waittest.Until(s.T, "no endpoints of green for the propagation", func() bool {
		handle.mu.Lock()
		defer handle.mu.Unlock()
		since, ok := handle.tracker.detached(map[string]string{plan.SetLabel: "green"})
		return ok && time.Since(since) > 3*time.Second
	})
	s.scale("green", 0)
	waittest.Until(s.T, "no pods of green", func() bool { return len(s.pods("green")) == 0 })
	s.wantCalm(ctx, handle)
}

// ready is how many ready replicas a set has, by its own account.
func (s *stage) ready(set string) int64 {
	s.Helper()
	object, err := s.cluster.Get(s.Context(), s.deployment(set))
	if err != nil {
		s.Fatal(err)
	}
	status, _ := object.Object["status"].(map[string]any)
	n, _ := status["readyReplicas"].(int64)
	return n
}

func lostPod(s *stage) {
	ctx, handle := s.watch(plan.Rolling, 4*time.Second)
	lost := s.pods("blue")[0]
	if err := s.cluster.Delete(s.Context(), lost, ""); err != nil {
		s.Fatal(err)
	}
	waittest.Until(s.T, "another pod in its place", func() bool {
		return !slices.Contains(s.pods("blue"), lost)
	})
	s.serving("blue", 2)
	s.wantCalm(ctx, handle)
}

func scaledDown(s *stage) {
	ctx, _ := s.watch(plan.Rolling, 4*time.Second)
	s.scale("blue", 1)
	s.wantEnd(ctx, "I1", "Service web has 1 ready endpoints, and had 2: this deployment has taken pods away")
}

func scaledByHand(s *stage) {
	ctx, handle := s.watch(plan.Rolling, 4*time.Second)
	s.apply("kubectl", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-blue}, spec: {replicas: 1}}")
	s.serving("blue", 1)
	waittest.Until(s.T, "the log to say who it was", func() bool { return strings.Contains(s.log.String(), "was scaled from 2 to 1 by kubectl") })
	s.wantCalm(ctx, handle)
}

func endedAtOnce(s *stage) {
	s.applySet("green", "2", 2)
	waittest.Until(s.T, "ready pods of green", func() bool { return s.ready("green") == 2 })
	ctx, handle := s.watch(plan.Immutable, time.Minute)
	s.expect(handle, "green")
	s.applyService(kube.FieldManager, selecting("green"))
	s.serving("green", 2)
	s.scale("blue", 0)
	// Which of the two watches is the faster one decides whether it says since when.
	s.wantEnd(ctx, "I2", "pod web-blue-")
}

func withoutPreStop(s *stage) {
	ctx, _ := s.watch(plan.Rolling, 10*time.Second)
	s.applySet("blue", "2", 2)
	waittest.Until(s.T, "new pods only", func() bool { return len(s.pods("blue")) == 2 && s.ready("blue") == 2 && s.replaced("2") })
	if ctx.Err() != nil {
		s.Fatalf("what the old pods lack has ended it: %v", context.Cause(ctx))
	}
	s.applySet("blue", "3", 2)
	s.wantEnd(ctx, "I2", "is told to end with a preStop of 0s, and it takes 10s")
	if want := "old pods have no preStop of 10s"; !strings.Contains(s.log.String(), want) {
		s.Errorf("the log has no %q", want)
	}
}

// replaced tells whether all pods of blue have a version.
func (s *stage) replaced(version string) bool {
	s.Helper()
	for _, ref := range s.pods("blue") {
		pod, err := s.cluster.Get(s.Context(), ref)
		if err != nil || !strings.Contains(fmt.Sprint(pod.Object["spec"]), "name:VERSION value:"+version) {
			return false
		}
	}
	return true
}

func emptySelector(s *stage) {
	ctx, _ := s.watch(plan.BlueGreen, 3*time.Second)
	s.applyService(kube.FieldManager, "")
	s.wantEnd(ctx, "I3", "the selector of Service web has become empty")
}

func deletedService(s *stage) {
	ctx, _ := s.watch(plan.Immutable, 3*time.Second)
	if err := s.cluster.Delete(s.Context(), s.ref("v1", "Service", "web"), ""); err != nil {
		s.Fatal(err)
	}
	s.wantEnd(ctx, "I3", "Service web has been deleted")
}

func fewerPods(s *stage) {
	s.applySet("green", "2", 1)
	waittest.Until(s.T, "a ready pod of green", func() bool { return s.ready("green") == 1 })
	ctx, handle := s.watch(plan.BlueGreen, 3*time.Second)
	s.expect(handle, "green")
	s.applyService(kube.FieldManager, selecting("green"))
	s.wantEnd(ctx, "I3", "to app=web,towline.dev/set=green, which means 1 ready pods in place of 2")
}

func laterRevision(s *stage) {
	ctx, _ := s.watch(plan.BlueGreen, 3*time.Second)
	s.applyRevision(8, "green", "3", 0)
	s.wantEnd(ctx, "I4", "Deployment web-green carries revision 8, later than the revision 7")
}

func foreignSelector(s *stage) {
	s.applySet("green", "2", 2)
	waittest.Until(s.T, "ready pods of green", func() bool { return s.ready("green") == 2 })
	ctx, _ := s.watch(plan.BlueGreen, 3*time.Second)
	s.applyService("anna", selecting("green"))
	s.wantEnd(ctx, "I4", "it was not this deployment that set it but anna")
}

func nothingThere(s *stage) {
	ctx, handle, err := Watch(s.Context(), Config{
		Cluster: s.cluster, Log: runbook.New(s.log, nil), Namespace: s.namespace, Revision: 7, Strategy: plan.Rolling,
		Services: []Target{{Name: "nothing"}}, Workloads: []Workload{{Ref: s.deployment("red")}},
	})
	if err != nil {
		s.Fatal(err)
	}
	if err := handle.Expect("web", blue); err == nil {
		s.Error("a Service that is not watched was taken")
	}
	s.wantCalm(ctx, handle)
}

func TestWatchOfAClusterThatIsAway(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	tired := errors.New("the deployment took too long")
	cluster := kubetest.Connect(t)
	cancel(tired)
	if _, _, err := Watch(ctx, Config{Cluster: cluster, Log: runbook.New(nil, nil), Namespace: "default", Services: []Target{{Name: "web", Enough: all}}}); !errors.Is(err, tired) {
		t.Errorf("error %v, want why its context ended", err)
	}
}
