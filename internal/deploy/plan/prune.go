package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

// prunes are the steps that delete what earlier revisions have left and the
// desired objects do not hold, in the reverse of the order of application.
func prunes(s Situation) []Step {
	kept := map[string]bool{}
	for _, o := range s.Desired {
		kept[kube.RefOf(o.Unstructured).ID()] = true
	}
	if s.Strategy != Rolling { // The cut-over ends the old sets in its own way.
		for _, set := range s.Sets {
			kept[set.Ref().ID()] = true
		}
	}
	var steps []Step
	for _, ref := range slices.Backward(s.Owned) {
		live := s.Live[ref.ID()]
		if kept[ref.ID()] || live == nil || live.GetLabels()[PartOfLabel] != ApplySetID(s.App, s.Namespace) {
			continue
		}
		kept[ref.ID()] = true
		if reason := keptFor(s, live); reason != "" {
			steps = append(steps, Step{Verb: VerbPrune, Ref: ref, Text: "kept, " + reason})
			continue
		}
		steps = append(steps, Step{Verb: VerbPrune, Ref: ref, UID: string(live.GetUID()), Text: "this revision has it no more",
			Request: s.Commands.DeleteCommand(ref, live.GetUID())})
	}
	return steps
}

// keptFor is why an object stays though the manifests have it no more, empty
// when it may go. What others have a part in is never taken from them, whatever
// is asked for.
func keptFor(s Situation, live *unstructured.Unstructured) string {
	if app := live.GetLabels()[AppLabel]; app != "" && app != s.App {
		return fmt.Sprintf("for application %s has put its name on it", app)
	}
	if owners := live.GetOwnerReferences(); len(owners) > 0 {
		return fmt.Sprintf("for it goes with its owner, %s %s", owners[0].Kind, owners[0].Name)
	}
	if slices.Contains(s.Knobs.Prune, live.GetKind()) {
		return ""
	}
	return protected[kube.RefOf(live).GVK().GroupKind().String()]
}

// protected are the kinds that are pruned only when asked for, with the reason.
var protected = map[string]string{
	"Namespace":             "for all that is in it would go as well",
	"PersistentVolumeClaim": "for its data would be lost",
	"PersistentVolume":      "for its data would be lost",
	"CustomResourceDefinition.apiextensions.k8s.io": "for all objects of its kind would go as well",
}
