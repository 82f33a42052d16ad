package invariant

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// flapOf is how long a pod may be unready before its readiness probes have had
// two more chances to find it ready, at most longestFlap. It is nothing for a
// pod that ends, or one with a container that does not run: such a pod has
// failed.
func flapOf(pod *corev1.Pod) time.Duration {
	down := slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.State.Running == nil })
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning || down {
		return 0
	}
	longest := time.Duration(0)
	for _, c := range pod.Spec.Containers {
		if probe := c.ReadinessProbe; probe != nil { // The API server has filled the defaults in.
			seconds := 2*cmp.Or(probe.PeriodSeconds, 10) + cmp.Or(probe.TimeoutSeconds, 1)
			longest = max(longest, time.Duration(seconds)*time.Second)
		}
	}
	return min(longest, longestFlap)
}
