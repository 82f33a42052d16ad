package deploy

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// observeSets fills in the live Deployments that give way to the desired ones:
// the application's other sets, and whatever else its Services send requests to.
func (r *run) observeSets(ctx context.Context, s *plan.Situation, live []unstructured.Unstructured) error {
	kept, err := r.keptSets(s)
	if err != nil {
		return err
	}
	s.Hashes, s.Floor = map[string]string{}, map[string]int{}
	served := plan.Served(s.Desired)
	desired, services := idsOf(served), plan.ServicesOf(s.Desired, served)
	written := idsOf(s.Desired)
	for i := range live {
		d := &live[i]
		ref, ours := kube.RefOf(d), d.GetLabels()[plan.PartOfLabel] == plan.ApplySetID(s.App, s.Namespace)
		isSet := ours && (d.GetLabels()[plan.SetLabel] != "" || !written[ref.ID()] && gaveWay(s, d, kept))
		if !desired[ref.ID()] && !isSet && !selectedByServices(s, services, d) {
			continue
		}
		hash, err := r.templateHash(ctx, d)
		if err != nil {
			return err
		}
		if desired[ref.ID()] || serves(s, services, plan.Set{Live: d, Hash: hash}) {
			s.Floor[plan.WorkloadOf(d)] = max(s.Floor[plan.WorkloadOf(d)], bearing(s, d))
		}
		s.Live[ref.ID()] = d
		if desired[ref.ID()] {
			s.Hashes[ref.ID()] = hash
			continue
		}
		if isSet && s.Strategy == plan.Rolling {
			s.Owned = append(s.Owned, ref) // Rolling has no sets: they go when the Deployment serves.
		}
		s.Sets = append(s.Sets, plan.Set{Live: d, Kept: !ours || kept[ref.ID()], Hash: hash})
	}
	return nil
}

// gaveWay tells whether a Deployment without the mark of a set is one that the
// application has left: it has no pods any more, or it served the revision to
// go back to until a process that has ended since moved its requests.
func gaveWay(s *plan.Situation, d *unstructured.Unstructured, kept map[string]bool) bool {
	return plan.ReplicasOf(d) == 0 || s.Strategy != plan.Rolling && kept[kube.RefOf(d).ID()]
}

// idsOf are the identities of objects, by kube.Ref.ID.
func idsOf(objects []manifest.Object) map[string]bool {
	ids := make(map[string]bool, len(objects))
	for _, o := range objects {
		ids[kube.RefOf(o.Unstructured).ID()] = true
	}
	return ids
}

// keptSets are the sets of the last good revision that has others than the
// desired ones, by kube.Ref.ID: what a rollback goes back to.
func (r *run) keptSets(s *plan.Situation) (map[string]bool, error) {
	desired := idsOf(plan.Served(s.Desired))
	for e := r.journal.GoodBefore(max(s.Revision, r.journal.Latest()+1)); e != nil; e = r.journal.GoodBefore(e.Revision()) {
		objects, err := e.Objects()
		if err != nil {
			return nil, err
		}
		kept := map[string]bool{}
		for _, o := range plan.Served(objects) {
			if ref := kube.RefOf(o.Unstructured); !desired[ref.ID()] {
				kept[ref.ID()] = true
			}
		}
		if len(kept) > 0 {
			return kept, nil
		}
	}
	return nil, nil
}

// selectedByServices tells whether one of the desired Services, as it is in the
// cluster, sends requests to a Deployment's pods.
func selectedByServices(s *plan.Situation, services []manifest.Object, d *unstructured.Unstructured) bool {
	return slices.ContainsFunc(services, func(o manifest.Object) bool {
		selector := plan.SelectorOf(s.Live[kube.RefOf(o.Unstructured).ID()])
		delete(selector, plan.TemplateHash)
		return plan.Matches(selector, plan.PodLabels(d))
	})
}

// serves tells whether one of the desired Services sends requests to a set now:
// one that never got any says nothing about how many pods are needed.
func serves(s *plan.Situation, services []manifest.Object, set plan.Set) bool {
	return slices.ContainsFunc(services, func(o manifest.Object) bool {
		return set.SelectedBy(plan.SelectorOf(s.Live[kube.RefOf(o.Unstructured).ID()]))
	})
}

// bearing is how many pods of a Deployment bear the requests. What is left
// because it failed counts with those that are ready: the others were never
// there, perhaps because there is no room for them.
func bearing(s *plan.Situation, d *unstructured.Unstructured) int {
	if !s.Back {
		return plan.ReplicasOf(d)
	}
	ready, _, err := unstructured.NestedInt64(d.Object, "status", "readyReplicas")
	if err != nil {
		return plan.ReplicasOf(d)
	}
	return min(plan.ReplicasOf(d), int(ready))
}

// templateHash is the pod-template-hash that all pods of a Deployment have,
// empty when they have several or there are none.
func (r *run) templateHash(ctx context.Context, d *unstructured.Unstructured) (string, error) {
	if pods, _, err := unstructured.NestedInt64(d.Object, "status", "replicas"); err == nil && pods == 0 && plan.ReplicasOf(d) == 0 {
		return "", nil // An application may have hundreds of such.
	}
	selector := labels.SelectorFromSet(plan.MatchLabels(d)).String()
	sets, err := r.Cluster.List(ctx, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}, d.GetNamespace(), selector)
	if err != nil {
		return "", fmt.Errorf("list the ReplicaSets of Deployment %s: %w", d.GetName(), err)
	}
	var hashes []string
	for _, set := range sets {
		pods, _, err := unstructured.NestedInt64(set.Object, "status", "replicas")
		if err == nil && metav1.IsControlledBy(&set, d) && (pods > 0 || plan.ReplicasOf(&set) > 0) {
			hashes = append(hashes, set.GetLabels()[plan.TemplateHash])
		}
	}
	if len(hashes) != 1 {
		return "", nil
	}
	return hashes[0], nil
}

// wanted is how many replicas autoscalers want a Deployment to have.
func wanted(scaler *unstructured.Unstructured) int {
	least := int64(0)
	for _, path := range [][]string{{"spec", "minReplicas"}, {"spec", "minReplicaCount"}, {"status", "desiredReplicas"}} {
		if n, found, err := unstructured.NestedInt64(scaler.Object, path...); err == nil && found {
			least = max(least, n)
		}
	}
	return int(least)
}
