package deploy

import (
	"context"
	"slices"

	"github.com/towline/towline/internal/deploy/invariant"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// guard watches the invariants while a new revision is carried out. The context
// that it returns ends on a breach. Going back is not watched: there is nothing
// left to go back to, and each write looks for a later revision by itself.
func (r *run) guard(ctx context.Context) (guarded context.Context, stop func(), err error) {
	s := r.situation
	served := slices.DeleteFunc(plan.Served(s.Desired), func(o manifest.Object) bool { return plan.Idle(s, o) })
	config := invariant.Config{
		Cluster: r.Cluster, Log: r.log, Namespace: s.Namespace, Revision: r.record.Revision, Strategy: s.Strategy, Propagation: s.Knobs.Propagation, Now: r.Now,
	}
	if r.settings.AsWritten && s.Strategy == plan.Rolling {
		config.Propagation = 0 // The pods are to end as they were written.
	}
	services := plan.ServicesOf(s.Desired, served)
	selected := manifest.Selected(services, served)
	for i, service := range services {
		target := invariant.Target{Name: service.GetName()}
		for _, d := range selected[i] {
			target.Enough += r.enough(served[d])
		}
		if service.GetNamespace() == s.Namespace {
			config.Services = append(config.Services, target)
		}
	}
	for _, o := range s.Desired {
		if ref := kube.RefOf(o.Unstructured); ref.Namespace == s.Namespace && isWorkload(ref) && !plan.Idle(s, o) {
			config.Workloads = append(config.Workloads, invariant.Workload{Ref: ref, Autoscaled: s.Scaled[ref.ID()] != ""})
		}
	}
	for _, set := range s.Sets {
		config.Workloads = append(config.Workloads, invariant.Workload{Ref: set.Ref(), Autoscaled: s.Scaled[set.Ref().ID()] != ""})
	}
	if len(config.Services) == 0 {
		return ctx, func() {}, nil
	}
	guarded, r.invariants, err = invariant.Watch(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	return guarded, func() {
		r.invariants.Stop()
		r.invariants = nil
	}, nil
}

// enough is how many ready pods of a Deployment are enough. What an autoscaler
// sets is not in the manifest; then it is what runs now, or more.
func (r *run) enough(d manifest.Object) int {
	if r.situation.Scaled[kube.RefOf(d.Unstructured).ID()] != "" {
		return max(1, r.situation.Floor[plan.WorkloadOf(d.Unstructured)])
	}
	return invariant.EnoughOf(d.Unstructured)
}

func isWorkload(ref kube.Ref) bool {
	switch ref.GVK().GroupKind().String() {
	case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps":
		return true
	}
	return false
}

// expect tells the watch of the invariants that this deployment is about to
// give a Service that selector. One that is not watched may have any.
func (r *run) expect(ref kube.Ref, selector map[string]string) error {
	if r.invariants == nil || ref.Kind != "Service" || ref.Namespace != r.situation.Namespace || !r.invariants.Watches(ref.Name) {
		return nil
	}
	return r.invariants.Expect(ref.Name, selector)
}
