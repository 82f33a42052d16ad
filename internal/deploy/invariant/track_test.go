package invariant

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/kube"
)

// all of the endpoints that there are at the beginning must stay.
const all = math.MaxInt

// play is a small cluster that a tracker looks at: two sets of pods behind one
// Service.
type play struct {
	t       testing.TB
	tracker *tracker
	base    Baseline
	h       holding
	view    View
}

func deploymentRef(name string) kube.Ref {
	return kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: name}
}

// newPlay begins with three pods of blue.
func newPlay(t testing.TB, target Target, autoscaled bool) *play {
	t.Helper()
	target.Name = "web"
	p := &play{t: t, base: Baseline{Revision: 7, Propagation: 10 * time.Second, DetachFirst: true}}
	p.tracker = newTracker([]Target{target}, []Workload{{Ref: deploymentRef("web-blue"), Autoscaled: autoscaled}, {Ref: deploymentRef("web-green")}})
	p.h = holding{now: now, services: map[string]*unstructured.Unstructured{}, endpoints: map[string][]kube.Endpoint{}, workloads: map[string]*unstructured.Unstructured{}}
	p.selector(blue)
	p.workload("blue", 3)
	p.workload("green", 0)
	p.start("blue", 3)
	p.serve("blue")
	p.look()
	return p
}

func (p *play) selector(selector map[string]string) {
	p.h.services["web"] = parse(p.t, `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, labels: {`+plan.SequenceLabel+`: "7"}}, spec: {}}`)
	if err := unstructured.SetNestedStringMap(p.h.services["web"].Object, selector, "spec", "selector"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *play) workload(set string, replicas int) {
	p.h.workloads[deploymentRef("web-"+set).ID()] = parse(p.t, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-%[1]s, namespace: shop, labels: {towline.dev/revision: "7"}}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: web, towline.dev/set: %[1]s}}
  template: {metadata: {labels: {app: web, towline.dev/set: %[1]s}}}`, set, replicas))
}

// owned says who has scaled a set.
func (p *play) owned(set, manager string) {
	p.h.workloads[deploymentRef("web-"+set).ID()].SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: "towline", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:template":{}}}`)},
		{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "scale", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`)},
	})
}

func (p *play) start(set string, n int) {
	yes := true
	for i := range n {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("web-%s-%d", set, i), UID: types.UID(fmt.Sprintf("%s-%d", set, i)), Namespace: "shop",
			Labels:          map[string]string{"app": "web", plan.SetLabel: set},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-" + set, Controller: &yes}},
		}}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		p.h.pods = append(p.h.pods, pod)
	}
}

// serve makes the pods of sets the endpoints, those that are ready and stay.
func (p *play) serve(sets ...string) {
	p.h.endpoints["web"] = nil
	for _, set := range sets {
		for _, pod := range p.h.pods {
			if pod.Labels[plan.SetLabel] == set && rollout.IsReady(pod) && pod.DeletionTimestamp == nil {
				p.h.endpoints["web"] = append(p.h.endpoints["web"], kube.Endpoint{Pod: pod.Name, UID: string(pod.UID), Ready: true, Reachable: true})
			}
		}
	}
}

// change replaces a pod by a changed copy, as a watch does.
func (p *play) change(name string, change func(*corev1.Pod)) {
	p.t.Helper()
	for i, pod := range p.h.pods {
		if pod.Name == name {
			p.h.pods[i] = pod.DeepCopy()
			change(p.h.pods[i])
			return
		}
	}
	p.t.Fatalf("no pod %s", name)
}

func unready(pod *corev1.Pod) { pod.Status.Conditions[0].Status = corev1.ConditionFalse }

func ending(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: now} }

func (p *play) end(set string) {
	for _, pod := range p.h.pods {
		if pod.Labels[plan.SetLabel] == set {
			p.change(pod.Name, ending)
		}
	}
}

// look lets the tracker see this moment.
func (p *play) look() *Breach {
	p.view = p.tracker.see(p.h)
	return Judge(p.view, p.base)
}

// after looks again when some time has gone by.
func (p *play) after(d time.Duration) *Breach {
	p.h.now = p.h.now.Add(d)
	return p.look()
}

func (p *play) expect(selector map[string]string) {
	p.tracker.services["web"].expected = append(p.tracker.services["web"].expected, maps.Clone(selector))
}

func parse(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	var object unstructured.Unstructured
	encoded, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = object.UnmarshalJSON(encoded) // Its numbers are as a watch brings them.
	}
	if err != nil {
		t.Fatal(err)
	}
	return &object
}

// detached is since when no pod that a selector means has been an endpoint,
// not ok while one is.
func (t *tracker) detached(selector map[string]string) (since time.Time, ok bool) {
	for _, p := range t.pods {
		switch {
		case !p.ever || !plan.Matches(selector, p.pod.Labels):
		case p.serving:
			return time.Time{}, false
		case p.left.After(since):
			since = p.left
		}
	}
	return since, t.begun
}

func TestTrackerOfACutOver(t *testing.T) {
	t.Parallel()
	// whole is the way there: green is whole and has the requests.
	whole := func(t *testing.T) *play {
		t.Helper()
		p := newPlay(t, Target{Enough: all}, false)
		p.workload("green", 3)
		p.start("green", 3)
		wantBreach(t, p.after(time.Second), "", "")
		p.expect(green)
		p.selector(green)
		wantBreach(t, p.after(time.Second), "", "")
		p.serve("green")
		wantBreach(t, p.after(time.Second), "", "")
		return p
	}
	t.Run("by the book, and back again", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		since, ok := p.tracker.detached(blue)
		if !ok || !since.Equal(p.h.now) {
			t.Errorf("blue is detached since %s, %t; want %s", since, ok, p.h.now)
		}
		p.expect(blue)
		p.selector(blue)
		wantBreach(t, p.after(time.Second), "", "")
		p.serve("blue")
		wantBreach(t, p.after(time.Minute), "", "")
	})
	t.Run("the old set ends in time", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		wantBreach(t, p.after(10*time.Second), "", "")
		p.workload("blue", 0)
		p.end("blue")
		wantBreach(t, p.after(time.Second), "", "")
		p.h.pods = p.h.pods[3:]
		wantBreach(t, p.after(time.Minute), "", "")
	})
	t.Run("the old set ends too soon", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		p.workload("blue", 0)
		p.end("blue")
		wantBreach(t, p.after(2*time.Second), "told to end 2s after it left the endpoints", "I2")
	})
	t.Run("the old set is gone before anybody saw it end", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		p.workload("blue", 0)
		p.h.pods = p.h.pods[3:]
		wantBreach(t, p.after(2*time.Second), "told to end 2s after it left the endpoints", "I2")
	})
	t.Run("that the old set was scaled down is seen after its pods end", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		p.end("blue")
		wantBreach(t, p.after(2*time.Second), "", "")
		p.workload("blue", 0)
		wantBreach(t, p.after(skew/2), "told to end 2s after", "I2")
	})
	t.Run("a pod of the new set fails for good", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		p.change("web-green-1", unready)
		p.serve("green")
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(3*time.Second), "new pods do not stay ready (web-green-1)", "I1")
	})
	t.Run("a pod of the new set fails for a moment", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		p.change("web-green-1", unready)
		p.serve("green")
		wantBreach(t, p.after(time.Second), "", "")
		p.change("web-green-1", func(pod *corev1.Pod) { pod.Status.Conditions[0].Status = corev1.ConditionTrue })
		p.serve("green")
		wantBreach(t, p.after(time.Hour), "", "")
	})
	t.Run("a pod of the new set that works fails its probe, and another one", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		p.change("web-green-1", func(pod *corev1.Pod) {
			unready(pod)
			pod.Status.Phase = corev1.PodRunning
			pod.Spec.Containers = []corev1.Container{{Name: "web", ReadinessProbe: &corev1.Probe{PeriodSeconds: 5, TimeoutSeconds: 1}}}
		})
		p.serve("green")
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(10*time.Second), "", "")
		wantBreach(t, p.after(2*time.Second), "new pods do not stay ready (web-green-1)", "I1")
	})
	t.Run("a pod of the new set whose container has ended is not waited for", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		p.change("web-green-1", func(pod *corev1.Pod) {
			unready(pod)
			pod.Status.Phase = corev1.PodRunning
			pod.Spec.Containers = []corev1.Container{{Name: "web", ReadinessProbe: &corev1.Probe{PeriodSeconds: 5}}}
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
		})
		p.serve("green")
		p.look()
		wantBreach(t, p.after(3*time.Second), "new pods do not stay ready (web-green-1)", "I1")
	})
	t.Run("the selector moves while the new set is not whole", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, false)
		p.start("green", 2)
		p.expect(green)
		p.selector(green)
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(2*time.Second), "which means 2 ready pods in place of 3", "I3")
	})
	t.Run("by way of a union, whose narrowing takes half of its pods away", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, false)
		p.start("green", 3)
		both := map[string]string{"app": "web"}
		p.expect(both)
		p.selector(both)
		p.serve("blue", "green")
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(time.Minute), "", "")
		p.expect(green)
		p.selector(green)
		p.serve("green")
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(time.Minute), "", "")
	})
	t.Run("an autoscaler has made the old set larger than the new one", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, true)
		p.workload("blue", 5)
		p.h.pods = nil
		p.start("blue", 5)
		p.serve("blue")
		p.start("green", 3)
		wantBreach(t, p.after(time.Second), "", "")
		p.expect(green)
		p.selector(green)
		p.look()
		wantBreach(t, p.after(2*time.Second), "which means 3 ready pods in place of 5", "I3")
	})
	t.Run("a selector that is expected only later", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, false)
		p.start("green", 3)
		p.selector(green)
		wantBreach(t, p.after(time.Second), "it was not this deployment that set it but somebody else", "I4")
	})
	t.Run("a selector that goes back by another's hand", func(t *testing.T) {
		t.Parallel()
		p := whole(t)
		p.selector(blue)
		wantBreach(t, p.after(time.Second), "it was not this deployment", "I4")
	})
}

func TestTrackerOfTheFloor(t *testing.T) {
	t.Parallel()
	lose := func(p *play, replicas int) {
		p.workload("blue", replicas)
		p.change("web-blue-2", ending)
		p.serve("blue")
	}
	t.Run("an autoscaler may take pods from the set that serves", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, true)
		lose(p, 2)
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(time.Hour), "", "")
		if floor := p.view.Services[0].Floor; floor != 2 {
			t.Errorf("floor %d, want 2", floor)
		}
	})
	t.Run("nobody else may", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, false)
		lose(p, 2)
		p.base.DetachFirst = false // So that it is not I2 that says no.
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(2*time.Second), "this deployment has taken pods away", "I1")
	})
	t.Run("a person may, and the log says so", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, false)
		lose(p, 2)
		p.owned("blue", "kubectl")
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(time.Hour), "", "")
		if floor := p.view.Services[0].Floor; floor != 2 {
			t.Errorf("floor %d, want 2", floor)
		}
		if got, want := strings.Join(Notices(p.view, p.base), "\n"), "Deployment web-blue was scaled from 3 to 2 by kubectl, not by this deployment"; !strings.Contains(got, want) {
			t.Errorf("notices %q, want %q", got, want)
		}
	})
	t.Run("this deployment may not, by whichever method", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, false)
		lose(p, 2)
		p.owned("blue", kube.FieldManager)
		p.base.DetachFirst = false
		p.look()
		wantBreach(t, p.after(2*time.Second), "this deployment has taken pods away", "I1")
	})
	t.Run("no more than are enough are wanted", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: 2}, false)
		lose(p, 3)
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(time.Hour), "", "")
	})
	t.Run("none are wanted where all are replaced at once", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: 0}, false)
		p.base.DetachFirst = false
		p.end("blue")
		p.serve("blue")
		wantBreach(t, p.after(time.Second), "", "")
		wantBreach(t, p.after(time.Hour), "", "")
	})
	t.Run("what failed and was replaced is not held against what comes later", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, false)
		p.base.DetachFirst = false
		p.change("web-blue-0", unready)
		p.serve("blue")
		wantBreach(t, p.after(time.Hour), "", "")
		p.start("other", 1)
		p.serve("blue", "other")
		wantBreach(t, p.after(time.Hour), "", "")
		p.workload("blue", 1)
		p.change("web-blue-1", ending)
		p.serve("blue", "other")
		p.look()
		wantBreach(t, p.after(2*time.Second), "this deployment has taken pods away before others stood in for them (web-blue-1)", "I1")
	})
	t.Run("a Service that comes later has nothing to lose", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t, Target{Enough: all}, false)
		p.tracker = newTracker([]Target{{Name: "web", Enough: all}}, nil)
		service := p.h.services["web"]
		p.h.services["web"] = nil
		wantBreach(t, p.look(), "", "")
		p.h.services["web"] = service
		wantBreach(t, p.after(time.Second), "", "")
		p.h.services["web"] = nil
		wantBreach(t, p.after(time.Second), "Service web has been deleted", "I3")
	})
}

func TestTrackerForgets(t *testing.T) {
	t.Parallel()
	p := newPlay(t, Target{Enough: all}, false)
	for range 50 {
		p.h.pods = p.h.pods[:3]
		p.start("green", 5)
		wantBreach(t, p.after(time.Minute), "", "")
	}
	p.h.pods = p.h.pods[:3]
	p.after(time.Second)
	p.after(time.Minute)
	if n := len(p.tracker.pods); n != 3 {
		t.Errorf("%d pods are remembered, want those that are there", n)
	}
}

func TestPreStop(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spec string
		want time.Duration
	}{
		"no hook":                              {`{containers: [{name: a}]}`, 0},
		"a sleep":                              {`{containers: [{name: a, lifecycle: {preStop: {sleep: {seconds: 10}}}}]}`, 10 * time.Second},
		"a command that sleeps":                {`{containers: [{name: a, lifecycle: {preStop: {exec: {command: [sh, -c, "sleep 15; nginx -s quit"]}}}}]}`, 15 * time.Second},
		"a command that may take any time":     {`{containers: [{name: a, lifecycle: {preStop: {exec: {command: [/drain]}}}}]}`, 30 * time.Second},
		"a request":                            {`{terminationGracePeriodSeconds: 60, containers: [{name: a, lifecycle: {preStop: {httpGet: {path: /, port: 1}}}}]}`, time.Minute},
		"a grace period that ends before it":   {`{terminationGracePeriodSeconds: 5, containers: [{name: a, lifecycle: {preStop: {sleep: {seconds: 10}}}}]}`, 5 * time.Second},
		"one container that serves without it": {`{containers: [{name: a, ports: [{containerPort: 1}]}, {name: b, lifecycle: {preStop: {sleep: {seconds: 10}}}}]}`, 0},
		"one that does not serve without it":   {`{containers: [{name: a, ports: [{containerPort: 1}], lifecycle: {preStop: {sleep: {seconds: 10}}}}, {name: b}]}`, 10 * time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pod corev1.Pod
			if err := yaml.Unmarshal([]byte("spec: "+c.spec), &pod); err != nil {
				t.Fatal(err)
			}
			if got := preStopOf(&pod); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestEnoughOf(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		object string
		want   int
	}{
		"a Deployment by itself":                {`{kind: Deployment, spec: {replicas: 4}}`, 3},
		"one that takes none away":              {`{kind: Deployment, spec: {replicas: 4, strategy: {rollingUpdate: {maxUnavailable: 0}}}}`, 4},
		"one that takes a share away":           {`{kind: Deployment, spec: {replicas: 5, strategy: {rollingUpdate: {maxUnavailable: "50%"}}}}`, 3},
		"one that replaces all at once":         {`{kind: Deployment, spec: {replicas: 4, strategy: {type: Recreate}}}`, 0},
		"one without replicas":                  {`{kind: Deployment, spec: {}}`, 1},
		"a StatefulSet":                         {`{kind: StatefulSet, spec: {replicas: 3}}`, 2},
		"a StatefulSet that is updated by hand": {`{kind: StatefulSet, spec: {replicas: 3, updateStrategy: {type: OnDelete}}}`, 3},
		"a DaemonSet":                           {`{kind: DaemonSet, status: {desiredNumberScheduled: 5}}`, 4},
		"a share of nonsense":                   {`{kind: Deployment, spec: {replicas: 4, strategy: {rollingUpdate: {maxUnavailable: many}}}}`, 0},
		"a CronJob":                             {`{kind: CronJob}`, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := EnoughOf(parse(t, c.object)); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
