package deploy

import (
	"context"
	"fmt"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
)

// match makes the sets as large as those that they replace are now: an
// autoscaler may have made these larger since the plan was made.
func (r *run) match(ctx context.Context, s plan.Step) error {
	for _, ref := range s.Sets {
		if err := r.enlarge(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

// enlarge makes one set as large as the largest that it replaces, unless a newer
// deployment owns it by now.
func (r *run) enlarge(ctx context.Context, ref kube.Ref) error {
	for attempt := 0; ; attempt++ {
		set, err := r.Cluster.Get(ctx, ref)
		if err != nil {
			return err
		}
		if plan.SequenceOf(set) > r.record.Revision {
			return r.overtaken(ref, set)
		}
		most, err := r.largest(ctx, plan.WorkloadOf(set))
		if err != nil || most <= plan.ReplicasOf(set) {
			return err
		}
		r.log.Report(ref.Name, fmt.Sprintf("scaled up to %d, as many as the old set has by now", most))
		err = r.method.Scale(ctx, ref, most, kube.AsRead(set))
		if kube.IsStale(err) && attempt < staleLimit {
			continue // Its controller has written its status meanwhile.
		}
		if err != nil {
			return refusal.Or(err, "the API server refuses %v", err)
		}
		return r.waiter().Wait(ctx, ref, set.GetGeneration()+1)
	}
}

// largest is how many replicas the largest old set of a workload has now.
func (r *run) largest(ctx context.Context, workload string) (int, error) {
	most := 0
	for _, old := range r.situation.Sets {
		live, err := r.Cluster.Get(ctx, old.Ref())
		if kube.IsNotFound(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if plan.WorkloadOf(live) == workload {
			most = max(most, plan.ReplicasOf(live))
		}
	}
	return most, nil
}
