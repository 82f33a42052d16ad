package invariant

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/kube"
)

// holding is what the watches hold at one moment.
type holding struct {
	now       time.Time
	services  map[string]*unstructured.Unstructured // by name; nil when it is not there
	endpoints map[string][]kube.Endpoint            // likewise
	pods      []*corev1.Pod
	workloads map[string]*unstructured.Unstructured // by kube.Ref.ID; nil when it is not there
}

// tracker remembers what a moment does not show: since when, and what came
// before. It asks nobody and has no clock of its own.
type tracker struct {
	services  map[string]*serviceTrack
	pods      map[string]*podTrack // by UID
	workloads map[string]*workloadTrack
	scaled    []Scaled
	begun     bool
}

type serviceTrack struct {
	guarded  bool              // it was there once
	current  map[string]string // the selector that is right, as last seen
	expected []map[string]string
	floor    int // ready endpoints at the beginning, less what autoscalers took
	enough   int
	short    time.Time
	change   *Switch
}

type podTrack struct {
	pod      *corev1.Pod // as last seen
	old      bool
	served   map[string]bool // Services that had it as a ready endpoint, since they were last whole
	ever     bool            // one of them ever had it
	serving  bool
	left     time.Time
	deleted  time.Time
	unwanted bool
	gone     bool
}

type workloadTrack struct {
	ref        kube.Ref
	autoscaled bool
	selector   labels.Selector
	template   map[string]any
	most       int64 // replicas that it has wanted since the watch began
	replicas   int64
	there      bool
	known      bool // it was there once
	changed    bool // its template has
	sequence   int
}

func newTracker(services []Target, workloads []Workload) *tracker {
	t := &tracker{services: map[string]*serviceTrack{}, pods: map[string]*podTrack{}, workloads: map[string]*workloadTrack{}}
	for _, s := range services {
		t.services[s.Name] = &serviceTrack{enough: s.Enough}
	}
	for _, w := range workloads {
		t.workloads[w.Ref.ID()] = &workloadTrack{ref: w.Ref, autoscaled: w.Autoscaled}
	}
	return t
}

// see takes a moment in and returns it as it is judged.
func (t *tracker) see(h holding) View {
	v := View{Now: h.now}
	t.seeWorkloads(h)
	t.seeSelectors(h)
	t.seePods(h)
	for _, name := range slices.Sorted(maps.Keys(t.services)) {
		if s, ok := t.service(name, h); ok {
			v.Services = append(v.Services, s)
		}
	}
	t.begun = true
	for _, uid := range slices.Sorted(maps.Keys(t.pods)) {
		if p := t.pods[uid]; p.ever {
			v.Pods = append(v.Pods, t.podView(p))
		}
	}
	v.Fenced, v.Scaled = t.fenced(h), t.scaled
	t.forget(h.now)
	return v
}

func (t *tracker) seeWorkloads(h holding) {
	for id, w := range t.workloads {
		object := h.workloads[id]
		if w.there = object != nil; !w.there {
			continue
		}
		replicas, found, err := unstructured.NestedInt64(object.Object, "spec", "replicas")
		if err != nil || !found {
			replicas = 1
		}
		template, _, _ := unstructured.NestedMap(object.Object, "spec", "template") // without one nothing has changed
		if !w.known {
			w.known, w.template, w.replicas = true, template, replicas
			w.selector, w.changed = selectorOf(object), rolling(object)
		}
		w.changed = w.changed || !equality.Semantic.DeepEqual(template, w.template)
		w.sequence = plan.SequenceOf(object)
		t.lower(w, replicas, plan.ScaledBy(object))
		w.replicas, w.most = replicas, max(w.most, replicas)
	}
}

// lower lets an autoscaler, or a person, that wants fewer pods lower what is
// enough, where the Service sends its requests to that workload. Who has
// written the number tells whose wish it is.
func (t *tracker) lower(w *workloadTrack, replicas int64, by string) {
	fewer := int(w.replicas - replicas)
	ours := by == "" || by == kube.FieldManager
	if fewer <= 0 || ours && !w.autoscaled {
		return
	}
	if !w.autoscaled {
		t.scaled = append(t.scaled, Scaled{Ref: w.ref, From: w.replicas, To: replicas, By: by})
	}
	for _, s := range t.services {
		if t.sends(s, w) {
			s.floor = max(0, s.floor-fewer)
			w.most = replicas // The pods that go are theirs to take.
		}
	}
}

// sends tells whether a Service selects pods of a workload.
func (t *tracker) sends(s *serviceTrack, w *workloadTrack) bool {
	template, _, _ := unstructured.NestedStringMap(w.template, "metadata", "labels") // without labels nothing selects it
	return plan.Matches(s.current, template)
}

// rolling tells whether a workload is in the middle of replacing its pods
// already: another process has begun what this one goes on with.
func rolling(object *unstructured.Unstructured) bool {
	have, changed := "replicas", "updatedReplicas"
	if object.GetKind() == "DaemonSet" {
		have, changed = "currentNumberScheduled", "updatedNumberScheduled"
	}
	all, _, _ := unstructured.NestedInt64(object.Object, "status", have) // none are 0
	updated, _, _ := unstructured.NestedInt64(object.Object, "status", changed)
	return all > updated
}

func selectorOf(object *unstructured.Unstructured) labels.Selector {
	fields, _, _ := unstructured.NestedMap(object.Object, "spec", "selector") // without one it has no pods
	var selector metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &selector) != nil {
		return labels.Nothing()
	}
	parsed, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil || parsed.Empty() {
		return labels.Nothing()
	}
	return parsed
}

// seeSelectors follows the selectors from one that is right to the next.
func (t *tracker) seeSelectors(h holding) {
	for name, s := range t.services {
		object := h.services[name]
		if object == nil {
			continue
		}
		seen := plan.SelectorOf(object)
		if !s.guarded {
			s.guarded, s.current = true, seen
			continue
		}
		if i := slices.IndexFunc(s.expected, func(e map[string]string) bool { return maps.Equal(e, seen) }); i >= 0 && !maps.Equal(seen, s.current) {
			s.change = &Switch{From: s.current, To: seen, At: h.now, Replaced: readyOf(h.pods, s.current, seen), Enough: s.enough}
			s.current, s.expected = seen, s.expected[i+1:]
		}
		if s.change != nil {
			s.change.Ready = readyOf(h.pods, s.change.To, nil)
			if s.change.Ready >= min(s.change.Replaced, s.change.Enough) {
				s.change = nil
			}
		}
	}
}

// readyOf counts the ready pods that a selector means and another does not.
func readyOf(pods []*corev1.Pod, selector, except map[string]string) int {
	n := 0
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && rollout.IsReady(pod) && plan.Matches(selector, pod.Labels) && !plan.Matches(except, pod.Labels) {
			n++
		}
	}
	return n
}

func (t *tracker) seePods(h holding) {
	present := map[string]bool{}
	for _, pod := range h.pods {
		uid := string(pod.UID)
		present[uid] = true
		p := t.pods[uid]
		if p == nil {
			p = &podTrack{old: !t.begun, served: map[string]bool{}}
			t.pods[uid] = p
		}
		p.pod = pod
		if pod.DeletionTimestamp != nil {
			t.deleted(p, h.now)
		}
	}
	for uid, p := range t.pods {
		if !present[uid] {
			p.gone = true
			t.deleted(p, h.now)
		}
		p.serving = false
	}
	for name, endpoints := range h.endpoints {
		for _, e := range endpoints {
			if p := t.pods[e.UID]; p != nil && e.Reachable {
				p.serving, p.ever, p.left = true, true, time.Time{}
				p.served[name] = true
			}
		}
	}
	for _, p := range t.pods {
		if p.ever && !p.serving && p.left.IsZero() {
			p.left = h.now
		}
	}
}

// deleted notes a deletion. That the workload wants the pod no more may be
// seen a moment later.
func (t *tracker) deleted(p *podTrack, now time.Time) {
	if p.deleted.IsZero() {
		p.deleted = now
	}
	if now.Sub(p.deleted) <= skew {
		p.unwanted = p.unwanted || t.unwanted(p.pod)
	}
}

// unwanted tells whether the workload of a pod wants it no more. A pod of a
// controller that is not followed counts as unwanted: nobody else is known to
// delete it.
func (t *tracker) unwanted(pod *corev1.Pod) bool {
	if metav1.GetControllerOf(pod) == nil {
		return false
	}
	known := false
	for _, w := range t.workloads {
		if !w.known || w.ref.Namespace != pod.Namespace || !w.selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if known = true; !w.there || w.changed || w.replicas < w.most {
			return true
		}
	}
	return !known
}

// service is one Service at this moment, not ok while it has never been there.
func (t *tracker) service(name string, h holding) (Service, bool) {
	s := t.services[name]
	if !s.guarded {
		return Service{}, false
	}
	view := Service{Name: name, Selector: s.current, Switch: s.change}
	for _, e := range h.endpoints[name] {
		if e.Ready {
			view.Ready++
		}
	}
	if !t.begun {
		s.floor = view.Ready
	}
	view.Floor = min(s.floor, s.enough)
	switch object := h.services[name]; {
	case object == nil:
		view.Gone = true
	case !maps.Equal(plan.SelectorOf(object), s.current):
		view.Selector, view.Foreign = plan.SelectorOf(object), setBy(object)
	}
	switch {
	case view.Ready >= view.Floor:
		s.short = time.Time{}
		for _, p := range t.pods { // What is whole again has nothing to reproach anybody with.
			if !p.serving {
				delete(p.served, name)
			}
		}
	case s.short.IsZero():
		s.short = h.now
	}
	view.Short = s.short
	return view, true
}

// setBy names the latest owner of a Service's selector.
func setBy(object *unstructured.Unstructured) string {
	name, at := "", time.Time{}
	for _, entry := range object.GetManagedFields() {
		if entry.FieldsV1 == nil || entry.Time == nil || !strings.Contains(string(entry.FieldsV1.GetRawBytes()), `"f:selector"`) {
			continue
		}
		if name == "" || entry.Time.After(at) {
			name, at = entry.Manager, entry.Time.Time
		}
	}
	return cmp.Or(name, "somebody else")
}

// forget drops pods that are gone, that nobody misses and of which no more is
// to be heard.
func (t *tracker) forget(now time.Time) {
	maps.DeleteFunc(t.pods, func(_ string, p *podTrack) bool {
		return p.gone && len(p.served) == 0 && now.Sub(p.deleted) > skew
	})
}

func (t *tracker) podView(p *podTrack) Pod {
	view := Pod{
		Name: p.pod.Name, Old: p.old, Serving: p.serving, Ready: !p.gone && rollout.IsReady(p.pod), Services: slices.Sorted(maps.Keys(p.served)),
		Unwanted: p.unwanted, Left: p.left, Deleted: p.deleted, PreStop: preStopOf(p.pod),
		Ended: p.pod.Status.Phase == corev1.PodFailed || p.pod.Status.Phase == corev1.PodSucceeded,
	}
	if !p.gone {
		view.Flap = flapOf(p.pod)
	}
	for _, s := range t.services {
		view.Selected = view.Selected || plan.Matches(s.current, p.pod.Labels)
	}
	for _, c := range p.pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			view.Disrupted = true
		}
	}
	return view
}

func (t *tracker) fenced(h holding) []Fenced {
	var fenced []Fenced
	for _, id := range slices.Sorted(maps.Keys(t.workloads)) {
		if w := t.workloads[id]; w.there {
			fenced = append(fenced, Fenced{Ref: w.ref, Sequence: w.sequence})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.services)) {
		if object := h.services[name]; object != nil {
			fenced = append(fenced, Fenced{Ref: kube.RefOf(object), Sequence: plan.SequenceOf(object)})
		}
	}
	return fenced
}
