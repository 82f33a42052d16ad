package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// Rolling changes the Deployments in place: their controllers replace one pod
// after the other.
const Rolling = "rolling"

// waited are the kinds whose readiness the deployment waits for, with what is
// waited for. Other kinds are done when the API server has taken them.
var waited = map[string]string{
	"Deployment.apps":  "new pods ready and serving, old ones gone",
	"StatefulSet.apps": "all pods updated and ready",
	"DaemonSet.apps":   "all pods updated and available",
	"Job.batch":        "complete",
	"Pod":              "ready",
}

// planRolling changes the objects in place and lets their controllers replace
// the pods: apply everything, wait for all workloads at once, prune, judge.
func planRolling(s Situation) ([]Step, error) {
	var steps []Step
	if s.Probe != "" {
		steps = append(steps, Step{Verb: VerbProbe, Text: fmt.Sprintf("%s, %d requests/s", s.Probe, s.Rate)})
	}
	objects := sizedAfterSets(s)
	if (len(s.Before) > 0 || s.Knobs.Drain != "" && s.Knobs.Drain != "off") && !s.Back {
		var needs []manifest.Object
		needs, objects = needed(objects)
		steps = append(steps, applies(s, needs, 0, false)...)
		steps = append(steps, hooks(s, s.Before)...)
	}
	if drain := s.Knobs.Drain; drain != "" && drain != "off" && !s.Back {
		steps = append(steps, Step{Verb: VerbRehearse, Sets: refs(Served(s.Desired)), Text: rehearsing})
	}
	steps = append(steps, applies(s, objects, lastWave(steps), false)...)
	steps = append(steps, waits(s, s.Desired, lastWave(steps)+1)...)
	steps = append(steps, hooks(s, s.After)...)
	steps = append(steps, checks(s, before, s.Knobs.Checks.Before)...)
	steps = append(steps, checks(s, after, s.Knobs.Checks.After)...)
	steps = append(steps, leaveSets(s, lastWave(steps))...)
	steps = append(steps, prunes(s)...)
	if s.Probe != "" {
		steps = append(steps, Step{Verb: VerbVerdict, Text: "stop sending requests and count the lost ones"})
	}
	return slices.Clip(steps), nil
}

// lastWave is the number of the last wave of steps.
func lastWave(steps []Step) int {
	last := 0
	for _, step := range steps {
		last = max(last, step.Wave)
	}
	return last
}

// waits are the steps that wait for those objects whose readiness is waited
// for, all at the same time.
func waits(s Situation, objects []manifest.Object, wave int) []Step {
	var steps []Step
	for _, o := range objects {
		ref := kube.RefOf(o.Unstructured)
		if text := waited[ref.GVK().GroupKind().String()]; text != "" && !Idle(s, o) {
			steps = append(steps, waitStep(s, ref, text, wave))
		}
	}
	return steps
}

// Idle tells that a Deployment has no pods and is to have none, so that there
// is nothing to wait for, and nothing to lose.
func Idle(s Situation, o manifest.Object) bool {
	ref := kube.RefOf(o.Unstructured)
	if ref.GVK().GroupKind().String() != "Deployment.apps" || s.Scaled[ref.ID()] != "" || ReplicasOf(o.Unstructured) != 0 {
		return false
	}
	live := s.Live[ref.ID()]
	if live == nil {
		return true
	}
	pods, _, err := unstructured.NestedInt64(live.Object, "status", "replicas")
	return err == nil && pods == 0 && ReplicasOf(live) == 0
}

// needed separates what pods need to run at all from the workloads and what
// sends them requests, so that a hook Job finds its configuration and its
// account.
func needed(objects []manifest.Object) (needs, others []manifest.Object) {
	for _, o := range objects {
		switch o.GetKind() {
		case "Namespace", "CustomResourceDefinition", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ConfigMap", "Secret",
			"PersistentVolume", "PersistentVolumeClaim", "StorageClass", "LimitRange", "ResourceQuota", "NetworkPolicy", "PriorityClass":
			needs = append(needs, o)
		default:
			others = append(others, o)
		}
	}
	return needs, others
}

// hooks are the steps that run Jobs one after the other. Going back runs none:
// a migration that was made is not made again by the release before it.
func hooks(s Situation, jobs []manifest.Object) []Step {
	if s.Back {
		return nil
	}
	var steps []Step
	for _, o := range jobs {
		ref := kube.RefOf(o.Unstructured)
		steps = append(steps, Step{Verb: VerbRun, Ref: ref, Object: Stamp(o.Unstructured, s.App, s.Namespace, s.Revision), Text: "to its end", Request: s.Commands.CreateCommand(ref)})
	}
	return steps
}

// checks are the steps that ask questions of a Service, one after the other.
func checks(s Situation, when string, questions []pipeline.Check) []Step {
	if s.Back {
		return nil
	}
	var steps []Step
	for i := range questions {
		step := Step{Verb: VerbCheck, Check: &questions[i], Text: questions[i].String(), Place: fmt.Sprintf("%s/%d", when, i)}
		step.Ref, step.Set = s.asked(when == before)
		steps = append(steps, step)
	}
	return steps
}

// When checks are asked.
const (
	before = "before"
	after  = "after"
)

// asked is the Service that checks ask, the zero Ref when there is none, and
// the mark of the pods behind it. Before the requests of Blue/Green move it is
// the preview.
func (s Situation) asked(early bool) (kube.Ref, string) {
	for _, o := range activeServices(s.Desired) {
		if s.Service != "" && o.GetName() != s.Service || len(SelectorOf(o.Unstructured)) == 0 {
			continue
		}
		ref := kube.RefOf(o.Unstructured)
		if early && s.Strategy == BlueGreen {
			ref.Name = PreviewName(ref.Name)
		}
		return ref, SelectorOf(o.Unstructured)[SetLabel]
	}
	return kube.Ref{}, ""
}
