package verdict

import (
	"context"
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

const (
	// proberLife is how long a prober's pod lives at least, and proberMargin how
	// much longer than the deployment's own waits: hooks and rehearsals have
	// limits of their own.
	proberLife   = 26 * time.Hour
	proberMargin = 2 * time.Hour
	// proberSilence is how long nothing has been heard of a prober before it is
	// looked for, and proberAway after how much more its node is given up.
	proberSilence = 5 * time.Second
	proberAway    = 2 * time.Minute
)

// proberLifeOf is how long a prober's pod may live: longer than the deployment
// can take, with the approval that it may wait for.
func proberLifeOf(longest time.Duration) time.Duration {
	const most = math.MaxInt32 * time.Second // that a pod can have
	return min(max(proberLife, longest+proberMargin), most)
}

// lost tells whether the pod has ended, or is on a node that has not been heard
// of for long. While the cluster cannot be asked nobody knows, and it is not.
func (p *podProber) lost(ctx context.Context) bool {
	silence := time.Since(p.Heard())
	if silence < proberSilence {
		return false
	}
	pod, err := p.config.Cluster.Get(ctx, p.place)
	if err != nil {
		return kube.IsNotFound(err)
	}
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	return pod.GetDeletionTimestamp() != nil || phase == string(corev1.PodFailed) || phase == string(corev1.PodSucceeded) || silence > proberAway
}

// lastHeard is what the pod is known to have counted before it was lost.
func (p *podProber) lastHeard() pipeline.Verdict {
	v := p.Snapshot()
	if report, ok := p.logged(); ok && report.Verdict.Requests >= v.Requests {
		return report.Verdict
	}
	return v
}

// Renew begins to send requests anew when the prober was lost, such as with its
// node while an approval was waited for: what comes next would not be measured.
// It is for before each step; when nothing is amiss it costs nothing. A prober
// that cannot be renewed is no reason to give the deployment up.
func (w *Watchman) Renew(ctx context.Context) {
	if w.final != nil || w.alone {
		return
	}
	if p, ok := w.current().(*podProber); ok && p.lost(ctx) {
		w.renew(ctx, p)
	}
}

// renew replaces a prober that was lost. What it had counted stays in the budget
// and is said in the verdict.
func (w *Watchman) renew(ctx context.Context, gone *podProber) {
	v := gone.lastHeard()
	w.Log.Line("probe   pod %s was lost; it had counted: %s", gone.place.Name, v)
	if err := w.start(ctx, reachTime); err != nil {
		w.Log.Line("probe   no other one can be started, so that no more requests are counted: %s", err)
		w.alone = true
		return
	}
	gone.leave()
	gone.remove()
	aside := w.forgiven(v)
	w.mu.Lock()
	w.spent += v.Lost - aside
	w.gone = w.gone.plus(v, aside)
	w.pardon.restart()
	if w.earlier != "" {
		w.earlier += " and "
	}
	w.earlier += fmt.Sprintf("%s was lost, which had counted %d of %d requests as lost", v.Via, v.Lost, v.Requests)
	w.mu.Unlock()
	w.collect(ctx, baselineRequests, baselineTime)
	w.Mark(countedFromHere)
}
