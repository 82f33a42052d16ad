package plan

import (
	"fmt"
	"slices"

	"github.com/towline/towline/internal/kube"
)

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
func planRolling(s Situation) []Step {
	var steps []Step
	if s.Probe != "" {
		steps = append(steps, Step{Verb: VerbProbe, Text: fmt.Sprintf("%s, %d requests/s", s.Probe, s.Rate)})
	}
	steps = append(steps, applies(s)...)
	wave := 1
	if len(steps) > 0 {
		wave = steps[len(steps)-1].Wave + 1
	}
	for _, o := range s.Desired {
		ref := kube.RefOf(o.Unstructured)
		if text := waited[ref.GVK().GroupKind().String()]; text != "" {
			steps = append(steps, waitStep(s, ref, text, wave))
		}
	}
	steps = append(steps, prunes(s)...)
	if s.Probe != "" {
		steps = append(steps, Step{Verb: VerbVerdict, Text: "stop sending requests and count the lost ones"})
	}
	return slices.Clip(steps)
}
