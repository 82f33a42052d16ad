package invariant

import (
	"math"
	"slices"
	"time"

	"github.com/towline/towline/internal/manifest"
	corev1 "k8s.io/api/core/v1"
)

// defaultGrace is the termination grace period of a pod that names none.
const defaultGrace = 30 * time.Second

// preStopOf is for how long a pod works on once its deletion has begun: the
// shortest preStop of the containers that serve, but no longer than its grace
// period. What a hook does that is no sleep is not known, and is believed to
// be enough.
func preStopOf(pod *corev1.Pod) time.Duration {
	serving := slices.DeleteFunc(slices.Clone(pod.Spec.Containers), func(c corev1.Container) bool {
		return len(c.Ports) == 0 && c.ReadinessProbe == nil
	})
	if len(serving) == 0 {
		serving = pod.Spec.Containers
	}
	shortest := defaultGrace
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		shortest = time.Duration(*s) * time.Second
	}
	for _, c := range serving {
		shortest = min(shortest, hookTime(c.Lifecycle))
	}
	return shortest
}

func hookTime(lifecycle *corev1.Lifecycle) time.Duration {
	switch {
	case lifecycle == nil || lifecycle.PreStop == nil:
		return 0
	case lifecycle.PreStop.Sleep != nil:
		return time.Duration(lifecycle.PreStop.Sleep.Seconds) * time.Second
	case lifecycle.PreStop.Exec != nil:
		if s, known := manifest.SleepCommand(lifecycle.PreStop.Exec.Command); known {
			return time.Duration(s) * time.Second
		}
	}
	return math.MaxInt64
}
