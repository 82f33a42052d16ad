package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// cutover is what the strategies with two sets have in common: the parts of
// the situation, and the steps so far.
type cutover struct {
	Situation
	sets     []manifest.Object // the desired Deployments that get requests
	services []manifest.Object // that send them
	scalers  []manifest.Object // that set the sets' replicas: theirs to do once requests have moved
	routes   []manifest.Object // HTTPRoutes whose weights move the requests
	workers  []manifest.Object // Deployments that no Service sends requests to
	rest     []manifest.Object // applied first
	steps    []Step
}

func newCutover(s Situation) *cutover {
	c := &cutover{Situation: s, sets: Served(s.Desired)}
	c.services = ServicesOf(s.Desired, c.sets)
	for _, o := range s.Desired {
		has := func(list []manifest.Object) bool {
			return slices.ContainsFunc(list, func(x manifest.Object) bool { return x.Unstructured == o.Unstructured })
		}
		switch {
		case has(c.sets), has(c.services):
		case isRoute(o.Unstructured) && c.weighs(o):
			c.routes = append(c.routes, o)
		case scaleTarget(o.Unstructured) != "":
			c.scalers = append(c.scalers, o)
		case o.GetKind() == "Deployment":
			c.workers = append(c.workers, o)
		default:
			c.rest = append(c.rest, o)
		}
	}
	return c
}

func (c *cutover) add(steps ...Step) { c.steps = append(c.steps, steps...) }

// apply adds the applies of some objects.
func (c *cutover) apply(objects []manifest.Object) {
	c.add(applies(c.Situation, objects, lastWave(c.steps), false)...)
}

// grow adds the applies of the sets with the replicas that they need; see
// sized.
func (c *cutover) grow(limit int) {
	c.add(applies(c.Situation, c.sized(limit), lastWave(c.steps), true)...)
}

// whole adds the waits for the sets.
func (c *cutover) whole() {
	wave := lastWave(c.steps) + 1
	for _, ref := range refs(c.sets) {
		c.add(waitStep(c.Situation, ref, "all its pods are ready", wave))
	}
}

// wait adds the waits for some objects.
func (c *cutover) wait(objects []manifest.Object) {
	c.add(waits(c.Situation, objects, lastWave(c.steps)+1)...)
}

// begin adds what comes before any workload is touched.
func (c *cutover) begin() {
	if c.Probe != "" {
		c.add(Step{Verb: VerbProbe, Text: fmt.Sprintf("%s, %d requests/s", c.Probe, c.Rate)})
	}
	needs, others := needed(c.rest)
	c.apply(needs)
	c.add(hooks(c.Situation, c.Before)...)
	c.apply(others)
	c.apply(c.held())
	c.wait(c.rest)
}

// held are the Services with the selectors that they have now: their other
// fields change at once, but no request moves before its time.
func (c *cutover) held() []manifest.Object {
	var held []manifest.Object
	for _, o := range c.services {
		if selector := c.liveSelector(o); selector != nil {
			o = withSelector(o, selector)
		}
		held = append(held, o)
	}
	return held
}

func withSelector(o manifest.Object, selector map[string]string) manifest.Object {
	o = manifest.Object{Unstructured: o.DeepCopy(), Source: o.Source}
	fields := make(map[string]any, len(selector))
	for key, value := range selector {
		fields[key] = value
	}
	_ = unstructured.SetNestedMap(o.Object, fields, "spec", "selector") // a Service has a spec, or it would select nothing
	return o
}

// liveSelector is what a Service selects in the cluster, nil when it is not
// there.
func (c *cutover) liveSelector(o manifest.Object) map[string]string {
	return SelectorOf(c.Live[kube.RefOf(o.Unstructured).ID()])
}

// sized are the sets with as many replicas as they need when the requests
// come. With a limit, a set that has fewer yet is given no more than that.
func (c *cutover) sized(limit int) []manifest.Object {
	var sized []manifest.Object
	for _, o := range c.sets {
		live := c.Live[kube.RefOf(o.Unstructured).ID()]
		n, running := max(ReplicasOf(o.Unstructured), c.Floor[WorkloadOf(o.Unstructured)]), 0
		if live != nil {
			running = ReplicasOf(live)
		}
		if limit > 0 {
			n = min(n, limit)
		}
		sized = append(sized, withReplicas(o, max(n, running)))
	}
	return sized
}

// moved tells whether every Service selects what it is to select already: the
// cut-over is done, by an earlier revision with the same pods or by a process
// that has ended since.
func (c *cutover) moved() bool {
	return len(c.staying()) == 0 && !slices.ContainsFunc(c.routes, func(o manifest.Object) bool { return !c.routed(o) })
}

// staying are the Services whose requests have not moved yet. A process that
// ended between the writes of two Services has left the others as they are to be.
func (c *cutover) staying() []manifest.Object {
	return slices.DeleteFunc(slices.Clone(c.services), func(o manifest.Object) bool {
		return maps.Equal(c.liveSelector(o), SelectorOf(o.Unstructured))
	})
}

// first tells whether there is nobody to take requests over from: no Service
// selects the pods of another set.
func (c *cutover) first() bool {
	return !slices.ContainsFunc(c.services, func(o manifest.Object) bool { return len(c.selected(c.liveSelector(o))) > 0 })
}

// selected are the old sets whose pods a selector means.
func (c *cutover) selected(selector map[string]string) []Set {
	return slices.DeleteFunc(slices.Clone(c.Sets), func(s Set) bool { return s.replicas() == 0 || !s.SelectedBy(selector) })
}

// union is a selector that means the old sets and the new one, nil when there
// is none: it is the Service's own selector without the mark of the set.
func (c *cutover) union(o manifest.Object) map[string]string {
	selector := maps.Clone(SelectorOf(o.Unstructured))
	delete(selector, SetLabel)
	for _, old := range c.selected(c.liveSelector(o)) {
		if !Matches(selector, PodLabels(old.Live)) {
			return nil
		}
	}
	if len(selector) == 0 {
		return nil
	}
	return selector
}

// pinned is a Service's live selector made so narrow that it means the very
// pods that it means now and none of the new ones. It is the live selector
// itself when that is so already. Not ok when there is no such selector.
func (c *cutover) pinned(o manifest.Object) (selector map[string]string, ok bool) {
	live := c.liveSelector(o)
	if !slices.ContainsFunc(c.sets, func(d manifest.Object) bool { return Matches(live, PodLabels(d.Unstructured)) }) {
		return live, true
	}
	old := c.selected(live)
	if len(old) != 1 || old[0].Hash == "" {
		return nil, false
	}
	return with(live, TemplateHash, old[0].Hash), true
}

// TemplateHash is the label that tells the pods of one ReplicaSet of a
// Deployment from those of its others.
const TemplateHash = "pod-template-hash"

func with(selector map[string]string, key, value string) map[string]string {
	selector = maps.Clone(selector)
	selector[key] = value
	return selector
}

// exact is what a Service must select so that only the desired Deployments get
// its requests: its own selector, made narrower when that means pods of old
// sets as well, as it does when the desired Deployment is no set.
func (c *cutover) exact(o manifest.Object) map[string]string {
	selector := SelectorOf(o.Unstructured)
	if len(c.selected(selector)) == 0 {
		return selector
	}
	var hashes []string
	for _, d := range c.sets {
		if Matches(selector, PodLabels(d.Unstructured)) {
			hashes = append(hashes, c.Hashes[kube.RefOf(d.Unstructured).ID()])
		}
	}
	if len(hashes) == 1 && hashes[0] != "" {
		return with(selector, TemplateHash, hashes[0])
	}
	return selector
}

// turn adds the write that makes a Service select something else, unless it
// does so already. One that was not there comes with the selector that it is to
// have.
func (c *cutover) turn(o manifest.Object, from, to map[string]string, text string) {
	if maps.Equal(from, to) || c.liveSelector(o) == nil {
		return
	}
	ref := kube.RefOf(o.Unstructured)
	c.add(Step{
		Verb: VerbSwitch, Ref: ref, Object: Stamp(withSelector(o, to).Unstructured, c.App, c.Namespace, c.Revision), Force: true,
		From: from, Selector: to, Shrink: c.Back || c.parked(), Text: text + ": " + SelectorText(from) + " -> " + SelectorText(to),
		Request: c.Commands.ApplyCommand(ref, kube.ApplyOptions{Force: true}, true),
	})
}

// parked tells whether the application is to have no pods at all: there is
// nobody to wait for then.
func (c *cutover) parked() bool {
	return !slices.ContainsFunc(c.sized(0), func(o manifest.Object) bool { return ReplicasOf(o.Unstructured) > 0 })
}

// serving adds the wait until a Service's endpoints are the ready pods that a
// selector means, and, with only, no others; then, for a time, until every
// node and load balancer knows.
func (c *cutover) serving(o manifest.Object, selector map[string]string, only bool, propagation time.Duration) {
	if c.parked() {
		return
	}
	text := "every new pod is an endpoint"
	if only {
		text = "the new pods, and they alone, are its endpoints"
	}
	if propagation > 0 {
		text += fmt.Sprintf(", then %s for every node and load balancer to know", propagation)
	}
	ref := kube.RefOf(o.Unstructured)
	c.add(Step{
		Verb: VerbServe, Ref: ref, Selector: selector, Only: only, Time: propagation, Text: text,
		Request: "GET /apis/discovery.k8s.io/v1/namespaces/" + ref.Namespace + "/endpointslices?labelSelector=kubernetes.io/service-name=" + ref.Name + " (watch)",
	})
}

// rehearsing is what the rehearsal is for, in the runbook.
const rehearsing = "see on a spare pod that no Service selects how the new pods end"

// questions adds what must be answered well before the requests move.
// The first set has nobody to wait for.
func (c *cutover) questions(first bool) {
	if c.Back {
		return
	}
	if c.Knobs.Drain != "" && c.Knobs.Drain != "off" {
		c.add(Step{Verb: VerbRehearse, Sets: refs(c.sets), Text: rehearsing})
	}
	c.add(checks(c.Situation, before, c.Knobs.Checks.Before)...)
	if c.Knobs.Approval && !first {
		c.add(Step{Verb: VerbApprove, Time: c.Knobs.ApprovalWait, Text: fmt.Sprintf("`towline promote %s` goes on, `towline abort %s` goes back", c.App, c.App)})
	}
}

// match adds the last look at the sizes, just before the requests move.
func (c *cutover) match() {
	if !c.Back {
		c.add(Step{Verb: VerbMatch, Sets: refs(c.sets), Text: "the new set is as large as the old one is now"})
	}
}

// finish adds what comes once the requests have moved: the rest of the
// application, the last questions, the end of the old sets and the verdict.
func (c *cutover) finish() {
	for _, o := range c.services {
		c.serving(o, c.exact(o), true, c.Knobs.Propagation)
	}
	c.apply(c.scalers)
	c.apply(c.workers)
	c.wait(append(slices.Clone(c.workers), c.scalers...))
	c.add(hooks(c.Situation, c.After)...)
	if !c.Back && c.Knobs.Analysis > 0 && c.Probe != "" && len(c.busy()) > 0 {
		c.add(Step{Verb: VerbAnalyse, Time: c.Knobs.Analysis, Text: fmt.Sprintf("count requests to the new set for %s", c.Knobs.Analysis)})
	}
	c.add(checks(c.Situation, after, c.Knobs.Checks.After)...)
	c.retire()
	for _, o := range c.services {
		c.turn(o, c.exact(o), SelectorOf(o.Unstructured), "the old pods are gone")
	}
	c.settle()
	c.unshift()
	c.add(prunes(c.Situation)...)
	if c.Probe != "" {
		c.add(Step{Verb: VerbVerdict, Text: "stop sending requests and count the lost ones"})
	}
}

// retire adds the end of the old sets: their pods go in batches, long after
// the last node has forgotten them. Those of the last good revision stay at no
// replicas, so that going back need not make them.
func (c *cutover) retire() {
	busy := c.busy()
	if len(busy) > 0 && !c.Back && c.Knobs.ScaleDownDelay > 0 {
		c.add(Step{Verb: VerbKeep, Time: c.Knobs.ScaleDownDelay, Text: fmt.Sprintf("the old set stays whole for %s: `towline abort %s` goes back within a second", c.Knobs.ScaleDownDelay, c.App)})
	}
	for _, s := range busy {
		c.add(drainStep(c.Situation, s))
	}
	for _, s := range c.Sets {
		if s.Kept {
			continue
		}
		ref := s.Ref()
		c.add(Step{Verb: VerbPrune, Ref: ref, UID: string(s.Live.GetUID()), Text: "no revision to go back to has it",
			Request: c.Commands.DeleteCommand(ref, s.Live.GetUID())})
	}
}

// busy are the old sets that have pods.
func (c *cutover) busy() []Set {
	return slices.DeleteFunc(slices.Clone(c.Sets), func(s Set) bool { return s.replicas() == 0 })
}

// settle adds the applies that give sets which had to be larger for the
// cut-over the size that the manifests say.
func (c *cutover) settle() {
	var settled []manifest.Object
	for i, o := range c.sized(0) {
		if goesBack(c.Situation, c.sets[i], ReplicasOf(o.Unstructured)) {
			settled = append(settled, c.sets[i])
		}
	}
	if len(settled) > 0 {
		c.apply(settled)
		c.wait(settled)
	}
}

func refs(objects []manifest.Object) []kube.Ref {
	var found []kube.Ref
	for _, o := range objects {
		found = append(found, kube.RefOf(o.Unstructured))
	}
	return found
}

// WithoutPreviews are the objects without the Services that show or stand for
// one set.
func WithoutPreviews(objects []manifest.Object) []manifest.Object {
	return slices.DeleteFunc(slices.Clone(objects), func(o manifest.Object) bool {
		return o.GetLabels()[PreviewLabel] != "" || o.GetLabels()[BackendLabel] != ""
	})
}

// onlyDeployments refuses applications with workloads that cannot stand beside
// themselves.
func onlyDeployments(s Situation) error {
	for _, o := range s.Desired {
		switch kind := kube.RefOf(o.Unstructured).GVK().GroupKind().String(); kind {
		case "StatefulSet.apps", "DaemonSet.apps":
			return refusal.New("%s%s cannot be deployed by %s: its pods have names or nodes of their own and cannot run twice side by side. "+
				"Use strategy rolling, or deploy it as an application of its own", At(o), manifest.Ref(o.Unstructured), s.Strategy)
		}
	}
	return nil
}

// inPlace goes on without a cut-over: there is no old set to take requests
// over from, or they have moved already.
func (c *cutover) inPlace() []Step {
	c.grow(0)
	c.whole()
	c.shift()
	first := c.first() && (!c.moved() || c.Resumed.First)
	for _, o := range c.services {
		if first {
			c.turn(o, c.liveSelector(o), SelectorOf(o.Unstructured), "to the first set")
		}
	}
	if first {
		c.questions(true)
	}
	c.finish()
	return c.steps
}

// back brings an earlier revision's sets back: what they need is applied, they
// are made whole, and the requests move in one write, with nothing asked on
// the way. A set that is still whole is found so, and the requests move at
// once.
func (c *cutover) back() []Step {
	c.begin()
	c.grow(0)
	c.whole()
	c.shift()
	for _, o := range c.services {
		c.turn(o, c.liveSelector(o), c.exact(o), "back")
	}
	c.finish()
	return c.steps
}
