package verdict

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe/remote"
)

// leftBehind finds the prober that an earlier process of this very deployment
// has left behind, nil when there is none that can still be asked. All others
// of the application are removed.
func (c Config) leftBehind(ctx context.Context) prober {
	secrets, err := c.Cluster.Secrets(ctx, c.Namespace, proberLabel+"="+c.App)
	if err != nil {
		c.Log.Line("probe   pods that may be left of earlier deployments cannot be looked for: %s", err)
		return nil
	}
	var found *podProber
	for _, secret := range secrets {
		place := kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: secret.Namespace, Name: secret.Name}
		if found == nil && secret.Labels[proberRevisionLabel] == strconv.Itoa(c.Revision) {
			if found = c.reattach(ctx, place, secret.Data[taskKey]); found != nil {
				continue
			}
		}
		c.Log.Line("probe   pod %s is left of an earlier deployment: removed", place.Name)
		c.removeProber(ctx, place)
	}
	if found == nil {
		return nil
	}
	return found
}

// reattach connects to a prober that goes on, nil when it does not.
func (c Config) reattach(ctx context.Context, place kube.Ref, text []byte) *podProber {
	task, err := remote.ParseTask(text)
	if err != nil {
		return nil
	}
	p := &podProber{config: c, place: place}
	if p.alive(ctx) {
		limited, cancel := context.WithTimeout(ctx, proberStart)
		defer cancel()
		if err := p.attach(limited, task.Token); err == nil {
			return p
		}
	}
	if report, ok := c.lastReport(ctx, place); ok {
		c.Log.Line("probe   pod %s has ended meanwhile; it had counted: %s", place.Name, report.Verdict)
	}
	return nil
}

// alive tells whether the pod runs and is to go on.
func (p *podProber) alive(ctx context.Context) bool {
	pod, err := p.config.Cluster.Get(ctx, p.place)
	if err != nil || pod.GetDeletionTimestamp() != nil {
		return false
	}
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	return phase == string(corev1.PodRunning)
}

// Sweep removes what earlier deployments of the application have left
// of their probers, and returns what the one of this very deployment had
// counted, nil when there is none. Deployments that send no requests of their
// own call it: those that measure nothing, and those that go on with a revert.
func Sweep(ctx context.Context, config Config) *pipeline.Verdict {
	p := config.leftBehind(ctx)
	if p == nil {
		return nil
	}
	v := p.stop()
	v.Hint = keepAliveHint(v)
	return &v
}
