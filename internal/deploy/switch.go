package deploy

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/kube"
)

// turn moves the requests of a Service by one write of its selector. The write
// carries the resourceVersion of the read that showed the selector expected and
// no later revision, so that it happens to that very state or not at all.
func (r *run) turn(ctx context.Context, s plan.Step) error {
	for attempt := 0; ; attempt++ {
		live, err := r.Cluster.Get(ctx, s.Ref)
		if kube.IsNotFound(err) {
			return refusal.New("%s has gone: somebody deleted it during the deployment", s.Ref)
		}
		if err != nil {
			return err
		}
		now := plan.SelectorOf(live)
		switch {
		case plan.SequenceOf(live) > r.record.Revision:
			return r.overtaken(s.Ref, live)
		case maps.Equal(now, s.Selector):
			return nil
		case s.From != nil && !maps.Equal(now, s.From):
			return refusal.New("%s selects %s and not %s: somebody else has changed it during the deployment",
				s.Ref, plan.SelectorText(now), plan.SelectorText(s.From))
		}
		if !s.Shrink {
			if err := r.mayShrink(ctx, s, now); err != nil {
				return err
			}
		}
		object := s.Object.DeepCopy()
		object.SetResourceVersion(live.GetResourceVersion())
		object.SetUID(live.GetUID()) // or an apply would make anew what was deleted meanwhile
		if err := r.expect(s.Ref, s.Selector); err != nil {
			return err
		}
		r.mark("switch " + s.Ref.String())
		_, err = r.method.Apply(ctx, object, kube.ApplyOptions{Force: true})
		if kube.IsStale(err) && attempt < staleLimit {
			continue
		}
		if err != nil {
			return refusal.Or(err, "the API server refuses %v", err)
		}
		return nil
	}
}

// mayShrink refuses a selector that means fewer ready pods than those that it
// takes the requests from: the pods that stay could not bear them.
func (r *run) mayShrink(ctx context.Context, s plan.Step, now map[string]string) error {
	before, err := r.readyPods(ctx, s.Ref.Namespace, now)
	if err != nil {
		return err
	}
	leaving := slices.DeleteFunc(before, func(pod *corev1.Pod) bool { return plan.Matches(s.Selector, pod.Labels) })
	after, err := r.readyPods(ctx, s.Ref.Namespace, s.Selector)
	if err != nil {
		return err
	}
	if need := largestSet(leaving); len(after) == 0 || len(after) < need {
		return refusal.New("%s would go from %d ready pods to %d (%s): the requests stay where they are", s.Ref, need, len(after), plan.SelectorText(s.Selector))
	}
	return nil
}

// largestSet is how many pods the largest set among them has. An interrupted
// deployment may have left a second set that serves beside the first: each was
// meant to bear the requests alone.
func largestSet(pods []*corev1.Pod) int {
	largest, of := 0, map[string]int{}
	for _, pod := range pods {
		of[pod.Labels[plan.SetLabel]]++
		largest = max(largest, of[pod.Labels[plan.SetLabel]])
	}
	return largest
}

func (r *run) readyPods(ctx context.Context, namespace string, selector map[string]string) ([]*corev1.Pod, error) {
	if len(selector) == 0 {
		return nil, nil
	}
	pods, err := r.Cluster.Pods(ctx, namespace, labels.SelectorFromSet(selector).String())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods, func(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil || !rollout.IsReady(pod) }), nil
}
