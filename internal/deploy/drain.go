package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/towline/towline/internal/deploy/invariant"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// The end of an old set: so many batches, with a pause between them, so that
// clients which keep their connections open do not all come back at once.
const (
	drainBatches = 4
	drainPause   = time.Second
)

// drain scales an old set down to nothing and waits until its last pod has
// gone. A set that is no more, or not the one of the plan, is left alone.
func (r *run) drain(ctx context.Context, s plan.Step) error {
	live, err := r.toLeave(ctx, s)
	if live == nil || err != nil {
		return err
	}
	defer r.forgiveSet(live)()
	left := plan.ReplicasOf(live)
	batch := (left + drainBatches - 1) / drainBatches
	for left > 0 {
		left = max(0, left-batch)
		if err := r.shrink(ctx, s, left); err != nil {
			return err
		}
		r.log.Report(s.Ref.Name, fmt.Sprintf("scaled down to %d", left))
		if left > 0 {
			if err := r.pass(ctx, drainPause, "the next batch"); err != nil {
				return err
			}
		}
	}
	return r.waiter().WaitGone(ctx, s.Ref.Namespace, s.Ref.Name, podsOf(live))
}

// shrink scales a set down, unless it has become somebody else's since it was
// looked at last. The write goes with the resourceVersion of the very read that
// showed this, and the journal is written in between: whoever has taken this
// deployment over, or begun a newer one, wrote there before it touched the set.
// So a process that was paused for a while cannot end a set that serves again.
func (r *run) shrink(ctx context.Context, s plan.Step, replicas int) error {
	for attempt := 0; ; attempt++ {
		live, err := r.toLeave(ctx, s)
		if live == nil || err != nil || plan.ReplicasOf(live) <= replicas {
			return err
		}
		if err := r.save(ctx); err != nil {
			return err
		}
		err = r.method.Scale(ctx, s.Ref, replicas, kube.AsRead(live))
		switch {
		case kube.IsStale(err) && attempt < staleLimit: // Its controller has written its status meanwhile.
		case err == nil, kube.IsNotFound(err):
			return nil
		default:
			return refusal.Or(err, "the API server refuses %v", err)
		}
	}
}

// toLeave reads the set that a step ends, nil when it is no more or another one
// has its name by now. That a newer deployment owns it, or that requests have
// been moved back to it, ends this deployment.
func (r *run) toLeave(ctx context.Context, s plan.Step) (*unstructured.Unstructured, error) {
	live, err := r.Cluster.Get(ctx, s.Ref)
	if kube.IsNotFound(err) || err == nil && string(live.GetUID()) != s.UID {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if plan.SequenceOf(live) > r.record.Revision {
		return nil, r.overtaken(s.Ref, live)
	}
	return live, r.leftAlone(ctx, live)
}

// leftAlone refuses to end a set that a Service sends requests to which this
// deployment has moved away from it. A Service that is as the manifests have it
// may mean the set all the same, as that of a rolling update does.
func (r *run) leftAlone(ctx context.Context, live *unstructured.Unstructured) error {
	set := plan.Set{Live: live}
	if at := slices.IndexFunc(r.situation.Sets, func(known plan.Set) bool { return known.Ref().Same(set.Ref()) }); at >= 0 {
		set.Hash = r.situation.Sets[at].Hash
	}
	for _, o := range plan.ServicesOf(r.situation.Desired, plan.Served(r.situation.Desired)) {
		ref := kube.RefOf(o.Unstructured)
		if ref.Namespace != live.GetNamespace() {
			continue
		}
		service, err := r.Cluster.Get(ctx, ref)
		if kube.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		selector := plan.SelectorOf(service)
		if set.Hash == "" && selector[plan.TemplateHash] != "" {
			continue // It is not known whether these are the set's pods.
		}
		if set.SelectedBy(selector) && !maps.Equal(selector, plan.SelectorOf(o.Unstructured)) {
			return &invariant.Breach{Invariant: "I4", Overtaken: true, Text: fmt.Sprintf(
				"%s selects %s and sends requests to %s again, which this deployment was about to end: somebody else has moved them back, and it is left as it is",
				ref, plan.SelectorText(selector), set.Ref())}
		}
	}
	return nil
}

// podsOf selects the pods of a Deployment. One that was there before there were
// sets selects the pods of the sets as well, by the labels that all of them have.
func podsOf(d *unstructured.Unstructured) string {
	wanted := plan.MatchLabels(d)
	selector := labels.SelectorFromSet(wanted).String()
	if wanted[plan.SetLabel] == "" {
		selector += ",!" + plan.SetLabel
	}
	return selector
}

// rehearsed is what the rehearsal of a live set has found.
func (r *run) rehearsed(set *unstructured.Unstructured) (drain pipeline.Drain, known bool) {
	hash, err := plan.ContentHash(set)
	if err != nil {
		return pipeline.Drain{}, false
	}
	return r.journal.Rehearsed(hash)
}
