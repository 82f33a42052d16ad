package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// before is the message of a revision that nobody deployed.
const before = "what was there before the first deployment"

// claim makes the situation as it will be when the fields that `kubectl apply`
// owns are ours. Without that, what the manifests leave out would stay in the
// objects for ever, and what they change would be a conflict. Nothing is
// written: see migrate.
func (r *run) claim(s *plan.Situation) error {
	r.claimed = map[string]*unstructured.Unstructured{}
	for _, o := range s.Desired {
		id := kube.RefOf(o.Unstructured).ID()
		live := s.Live[id]
		if !kube.ClientSideApplied(live) {
			continue
		}
		migrated, err := kube.Migrated(live)
		if err != nil {
			return err
		}
		r.claimed[id], s.Live[id] = live, migrated
	}
	return nil
}

// migrate takes the fields over that claim has found. It is the first write to
// objects of a deployment, and harmless: nothing but their ownership changes.
func (r *run) migrate(ctx context.Context, s plan.Situation) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(kube.Parallel)
	for _, id := range slices.Sorted(maps.Keys(r.claimed)) {
		live := r.claimed[id]
		group.Go(func() error {
			if _, err := r.Cluster.Migrate(ctx, live); err != nil {
				return refusal.Or(err, "the API server refuses to %v", err)
			}
			ref := kube.RefOf(live)
			r.log.Line("own     %s, which came with kubectl apply   %s", ref, kube.MigrateRequest(s.Resources[id], ref.Namespace, ref.Name))
			return nil
		})
	}
	return group.Wait()
}

// dryRun asks what an apply of an object would make of it, once its fields are
// claimed.
func (r *run) dryRun(ctx context.Context, object *unstructured.Unstructured, options kube.ApplyOptions) (*unstructured.Unstructured, error) {
	options.DryRun = true
	applied, err := r.Cluster.Apply(ctx, object, options)
	if r.claimed[kube.RefOf(object).ID()] == nil {
		return applied, err
	}
	if conflict, ok := errors.AsType[*kube.ConflictError](err); ok && conflict.OnlyClientSide() {
		options.Force = true
		applied, err = r.Cluster.Apply(ctx, object, options)
	}
	if err != nil {
		return nil, err
	}
	return kube.WithoutClientSide(applied), nil
}

// found are the objects that a first deployment meets and that are nobody's, as
// they were: what its revert goes back to. They are none when the application
// has been deployed before, and when only Namespaces are there.
func (r *run) found(s plan.Situation) []manifest.Object {
	if r.journal.GoodBefore(r.journal.Latest()+1) != nil {
		return nil
	}
	var live []*unstructured.Unstructured
	for _, o := range s.Desired {
		id := kube.RefOf(o.Unstructured).ID()
		if original := r.claimed[id]; original != nil {
			live = append(live, original)
		} else if s.Live[id] != nil {
			live = append(live, s.Live[id])
		}
	}
	for _, set := range s.Sets {
		live = append(live, set.Live)
	}
	var objects []manifest.Object
	only := true // Namespaces
	for _, o := range live {
		if o.GetLabels()[plan.PartOfLabel] != "" {
			continue
		}
		only = only && o.GetKind() == "Namespace"
		objects = append(objects, manifest.Wrap(asItWas(o))...)
	}
	if only {
		return nil
	}
	return manifest.Sort(objects)
}

// asItWas is a live object as a manifest that brings it back: without what the
// cluster notes and assigns by itself.
func asItWas(live *unstructured.Unstructured) *unstructured.Unstructured {
	o := live.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink", "ownerReferences"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(o.Object, "status")
	annotations := o.GetAnnotations()
	maps.DeleteFunc(annotations, func(name, _ string) bool {
		return name == "kubectl.kubernetes.io/last-applied-configuration" || strings.HasPrefix(name, "deployment.kubernetes.io/") ||
			strings.HasPrefix(name, "pv.kubernetes.io/") || strings.HasPrefix(name, "volume.kubernetes.io/") || strings.HasPrefix(name, "volume.beta.kubernetes.io/")
	})
	if len(annotations) == 0 {
		annotations = nil
	}
	o.SetAnnotations(annotations)
	for _, path := range assigned[kube.RefOf(o).GVK().GroupKind().String()] {
		if path[len(path)-1] == "clusterIP" || path[len(path)-1] == "clusterIPs" {
			if ip, _, _ := unstructured.NestedString(live.Object, "spec", "clusterIP"); ip == "None" {
				continue // That was the user's choice.
			}
		}
		unstructured.RemoveNestedField(o.Object, path...)
	}
	return o
}

// assigned are the fields that the cluster fills in, by kind.
var assigned = map[string][][]string{
	"Service":               {{"spec", "clusterIP"}, {"spec", "clusterIPs"}, {"spec", "ipFamilies"}, {"spec", "ipFamilyPolicy"}, {"spec", "healthCheckNodePort"}},
	"PersistentVolumeClaim": {{"spec", "volumeName"}},
	"PersistentVolume":      {{"spec", "claimRef"}},
	"ServiceAccount":        {{"secrets"}},
	"Pod":                   {{"spec", "nodeName"}},
	"Job.batch": {
		{"spec", "selector"}, {"spec", "template", "metadata", "labels", "controller-uid"}, {"spec", "template", "metadata", "labels", "batch.kubernetes.io/controller-uid"},
		{"spec", "template", "metadata", "labels", "job-name"}, {"spec", "template", "metadata", "labels", "batch.kubernetes.io/job-name"},
		{"metadata", "labels", "controller-uid"}, {"metadata", "labels", "batch.kubernetes.io/controller-uid"},
		{"metadata", "labels", "job-name"}, {"metadata", "labels", "batch.kubernetes.io/job-name"},
	},
}

// adopt gives what was there before a first deployment a revision of its own,
// the one before the deployment's: a revert and a rollback bring it back, and
// take away what was not there. The objects stay somebody else's until a
// revision has succeeded with them.
func (r *run) adopt(ctx context.Context, objects []manifest.Object) error {
	if len(objects) == 0 {
		return nil
	}
	var refs []kube.Ref
	for _, o := range objects {
		refs = append(refs, kube.RefOf(o.Unstructured))
	}
	e, err := r.journal.Add(ctx, journal.Record{
		Deployment: pipeline.Deployment{
			App: r.record.App, Namespace: r.record.Namespace, Cluster: r.record.Cluster, Revision: r.record.Revision - 1, Strategy: plan.Rolling,
			Method: r.record.Method, Outcome: pipeline.Succeeded, Message: before, Images: manifest.Images(objects), Started: r.record.Started,
		},
		Key: r.key + ".before", Phase: journal.Ended, Takes: 1, Before: true, Adopted: refs,
		Settings: pipeline.Deploy{App: r.record.App, Namespace: r.record.Namespace, Strategy: plan.Rolling, AsWritten: true},
	}, objects)
	if err != nil {
		return err
	}
	r.log.Line("journal revision %d: %s, %d objects   POST /api/v1/namespaces/%s/secrets (%s)", e.Revision(), before, len(objects), r.record.Namespace, e.Name())
	return nil
}
