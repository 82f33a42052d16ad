package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// What a rolling update does beside the usual when sets get the requests: the
// revision before it had another strategy. The Deployments of the manifests
// stand beside the sets until these go, so they must be as large before.

// busySets are the application's own sets that have pods.
func busySets(s Situation) []Set {
	return slices.DeleteFunc(slices.Clone(s.Sets), func(set Set) bool {
		labels := set.Live.GetLabels()
		return set.replicas() == 0 || labels[SetLabel] == "" || labels[PartOfLabel] != ApplySetID(s.App, s.Namespace)
	})
}

// followsSets tells whether a Deployment takes the requests over from sets.
func followsSets(s Situation, o manifest.Object) bool {
	return s.Strategy == Rolling && o.GetKind() == "Deployment" && slices.ContainsFunc(busySets(s), func(set Set) bool {
		return WorkloadOf(set.Live) == o.GetName() && set.Live.GetNamespace() == o.GetNamespace()
	})
}

// sizedAfterSets are the desired objects, with as many replicas as needed where
// they take the requests over from sets: one that was drained for these has
// none, and an autoscaler leaves a Deployment without pods alone.
func sizedAfterSets(s Situation) []manifest.Object {
	sized := slices.Clone(s.Desired)
	for i, o := range sized {
		if followsSets(s, o) {
			sized[i] = withReplicas(o, max(ReplicasOf(o.Unstructured), s.Floor[o.GetName()]))
		}
	}
	return sized
}

// leaveSets are the steps that end the sets, whose pods would all be cut off at
// once if they were only pruned, and that give the Deployments their own size.
func leaveSets(s Situation, wave int) []Step {
	var steps []Step
	for _, set := range busySets(s) {
		steps = append(steps, drainStep(s, set))
	}
	var settled []manifest.Object
	for i, o := range sizedAfterSets(s) {
		if wanted := s.Desired[i]; followsSets(s, wanted) && goesBack(s, wanted, ReplicasOf(o.Unstructured)) {
			settled = append(settled, wanted)
		}
	}
	steps = append(steps, applies(s, settled, wave, false)...)
	return append(steps, waits(s, settled, wave+2)...)
}

func drainStep(s Situation, set Set) Step {
	return Step{Verb: VerbDrain, Ref: set.Ref(), Live: set.Live, UID: string(set.Live.GetUID()), Text: fmt.Sprintf("%d pods in batches", set.replicas()),
		Request: s.Commands.ScaleCommand(set.Ref(), 0)}
}

// withReplicas is a copy of a Deployment with so many replicas.
func withReplicas(o manifest.Object, replicas int) manifest.Object {
	o = manifest.Object{Unstructured: o.DeepCopy(), Source: o.Source}
	_ = unstructured.SetNestedField(o.Object, int64(replicas), "spec", "replicas") // a Deployment has a spec
	return o
}

// goesBack tells whether a Deployment that was made so large goes back to the
// size in its manifest: not where an autoscaler sets it, nor where no size is
// written, which leaves it to whoever has scaled it by hand.
func goesBack(s Situation, o manifest.Object, replicas int) bool {
	_, written, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	return written && err == nil && replicas > ReplicasOf(o.Unstructured) && s.Scaled[kube.RefOf(o.Unstructured).ID()] == ""
}
