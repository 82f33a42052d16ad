package deploy

import (
	"context"
	"fmt"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
)

// match makes the sets as large as those that they replace are now: an
// autoscaler may have made these larger since the plan was made.
func (r *run) match(ctx context.Context, s plan.Step) error {
	for _, ref := range s.Sets {
		set, err := r.Cluster.Get(ctx, ref)
		if err != nil {
			return err
		}
		most := 0
		for _, old := range r.situation.Sets {
			live, err := r.Cluster.Get(ctx, old.Ref())
			if kube.IsNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			if plan.WorkloadOf(live) == plan.WorkloadOf(set) {
				most = max(most, plan.ReplicasOf(live))
			}
		}
		if most <= plan.ReplicasOf(set) {
			continue
		}
		r.log.Report(ref.Name, fmt.Sprintf("scaled up to %d, as many as the old set has by now", most))
		if err := r.method.Scale(ctx, ref, most); err != nil {
			return err
		}
		if err := r.waiter().Wait(ctx, ref, set.GetGeneration()+1); err != nil {
			return err
		}
	}
	return nil
}
