package deploy

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/towline/towline/internal/deploy/plan"
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
	live, err := r.Cluster.Get(ctx, s.Ref)
	if kube.IsNotFound(err) || (err == nil && string(live.GetUID()) != s.UID) {
		return nil
	}
	if err != nil {
		return err
	}
	if plan.SequenceOf(live) > r.record.Revision {
		return r.overtaken(s.Ref, live)
	}
	if drain, known := r.rehearsed(live); known {
		r.leaving = &drain
	}
	if r.probe != nil && (r.leaving == nil || !r.leaving.Clean) {
		r.probe.forgive()
	}
	left := plan.ReplicasOf(live)
	batch := (left + drainBatches - 1) / drainBatches
	for left > 0 {
		left = max(0, left-batch)
		if err := r.method.Scale(ctx, s.Ref, left); err != nil {
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
