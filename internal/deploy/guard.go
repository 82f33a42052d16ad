package deploy

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/invariant"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// guard watches the invariants while a new revision is carried out. The context
// that it returns ends on a breach.
func (r *run) guard(ctx context.Context) (guarded context.Context, stop func(), err error) {
	return r.watch(ctx, r.watched())
}

// guardBack watches while an earlier revision is brought back, and only for what
// others do: there is nothing left to go back to, but what somebody else has
// moved meanwhile must be left alone.
func (r *run) guardBack(ctx context.Context) (guarded context.Context, stop func()) {
	config := r.watched()
	config.OthersOnly = true
	guarded, stop, err := r.watch(ctx, config)
	if err != nil {
		r.log.Line("        what others do meanwhile is not watched: %s", err)
		return ctx, func() {}
	}
	return guarded, stop
}

func (r *run) watch(ctx context.Context, config invariant.Config) (guarded context.Context, stop func(), err error) {
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

// watched is what the invariants are about: the Services that send requests to a
// workload of the manifests, whatever its kind, and the workloads.
func (r *run) watched() invariant.Config {
	s := r.situation
	config := invariant.Config{
		Cluster: r.Cluster, Log: r.log, Namespace: s.Namespace, Revision: r.record.Revision, Strategy: s.Strategy, Propagation: s.Knobs.Propagation, Now: r.Now,
	}
	if r.settings.AsWritten && s.Strategy == plan.Rolling {
		config.Propagation = 0 // The pods are to end as they were written.
	}
	var workloads []manifest.Object
	for _, o := range s.Desired {
		if ref := kube.RefOf(o.Unstructured); ref.Namespace == s.Namespace && isWorkload(ref) && !plan.Idle(s, o) {
			workloads = append(workloads, o)
			config.Workloads = append(config.Workloads, invariant.Workload{Ref: ref, Autoscaled: s.Scaled[ref.ID()] != ""})
		}
	}
	services := plan.ServicesOf(s.Desired, workloads)
	selected := manifest.Selected(services, workloads)
	for i, service := range services {
		target := invariant.Target{Name: service.GetName()}
		for _, w := range selected[i] {
			target.Enough += r.enough(workloads[w])
		}
		if service.GetNamespace() == s.Namespace {
			config.Services = append(config.Services, target)
		}
	}
	for _, set := range s.Sets {
		config.Workloads = append(config.Workloads, invariant.Workload{Ref: set.Ref(), Autoscaled: s.Scaled[set.Ref().ID()] != ""})
	}
	return config
}

// enough is how many ready pods of a workload are enough. What an autoscaler
// sets is not in the manifest; then it is what runs now, or more. How many pods
// a DaemonSet has, the nodes decide.
func (r *run) enough(w manifest.Object) int {
	ref := kube.RefOf(w.Unstructured)
	live := r.situation.Live[ref.ID()]
	switch {
	case r.situation.Scaled[ref.ID()] != "" && ref.Kind == "Deployment":
		return max(1, r.situation.Floor[plan.WorkloadOf(w.Unstructured)])
	case r.situation.Scaled[ref.ID()] != "" && live != nil: // with the strategy of the manifest
		w.Unstructured = w.DeepCopy()
		_ = unstructured.SetNestedField(w.Object, int64(plan.ReplicasOf(live)), "spec", "replicas") // a workload has a spec
	case ref.Kind == "DaemonSet" && live != nil:
		w.Unstructured = w.DeepCopy()
		w.Object["status"] = live.Object["status"]
	}
	return invariant.EnoughOf(w.Unstructured)
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
