package rollout

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
)

// Pods judges the pods of an owner that counts their crashes itself, such as a
// Job: what keeps them from ever starting need not be waited for. Each wait
// has its own. It is not safe for concurrent use.
type Pods struct {
	Cluster *kube.Cluster
	// Unschedulable is how long a pod may find no node.
	Unschedulable time.Duration

	patience kube.Patience
}

// Trouble says which of the pods will not start, and why, once that has lasted
// for as long as it may: an image that cannot be pulled, a config that is not
// there, no node. The pod is nil while there is hope for all.
func (p *Pods) Trouble(pods []*corev1.Pod, now time.Time) (why string, pod *corev1.Pod) {
	troubles := slices.DeleteFunc(kube.PodTroubles(pods, p.Unschedulable), func(t kube.Trouble) bool { return t.Reason == kube.Crashing })
	if t, over := p.patience.Over(troubles, now); over {
		return t.String(), t.Pod
	}
	return "", nil
}

// Diagnose is what a pod has to say: its warnings and the last lines of its
// log, each line on its own after a line break.
func (p *Pods) Diagnose(ctx context.Context, pod *corev1.Pod) string {
	w := Waiter{Cluster: p.Cluster}
	return w.diagnose(ctx, pod, "", false)
}
