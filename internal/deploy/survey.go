package deploy

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// survey reads what a plan for the objects depends on. Nothing is written.
// More objects that may have to go can be named beside those of the journal.
func (r *run) survey(ctx context.Context, objects []manifest.Object, owned ...kube.Ref) (plan.Situation, error) {
	s := plan.Situation{
		App: r.record.App, Namespace: r.record.Namespace, Strategy: cmp.Or(r.strategy, r.record.Strategy), Force: r.force, Back: r.back,
		Revision: r.record.Revision, Resources: map[string]kube.Resource{}, Scaled: map[string]string{}, Commands: r.method,
	}
	hooks, err := manifest.Hooks(objects)
	if err != nil {
		return s, err
	}
	s.Desired, s.Checks, s.Service = hooks.Rest, hooks.Check, r.verify.Service
	s.Knobs = r.knobs(s.Desired)
	before := r.record.Revision
	if before == 0 {
		before = r.journal.Latest() + 1
	}
	if s.Owned, err = r.journal.OwnedBefore(before, r.settings.Prune...); err != nil {
		return s, err
	}
	s.Owned = append(s.Owned, owned...)
	s.Resumed = r.resumed(before)
	deployments, err := r.Cluster.List(ctx, deploymentKind, s.Namespace, "")
	if err != nil {
		return s, err
	}
	if err := r.observe(ctx, &s, deployments); err != nil {
		return s, err
	}
	if err := r.observeSets(ctx, &s, deployments); err != nil {
		return s, err
	}
	if err := r.observeConfigs(ctx, &s); err != nil {
		return s, err
	}
	if err := r.observeScalers(ctx, &s); err != nil {
		return s, err
	}
	if s.Revision == 0 {
		s.Revision = before
		// A journal that was deleted does not make revisions start afresh: the
		// objects still carry theirs.
		for _, o := range objects {
			if live := s.Live[kube.RefOf(o.Unstructured).ID()]; live != nil && live.GetLabels()[plan.PartOfLabel] == plan.ApplySetID(s.App, s.Namespace) {
				s.Revision = max(s.Revision, plan.SequenceOf(live)+1)
			}
		}
	}
	if s.Before, err = uniqueJobs(s, hooks.Before); err != nil {
		return s, err
	}
	if s.After, err = uniqueJobs(s, hooks.After); err != nil {
		return s, err
	}
	return s, r.claim(&s)
}

// uniqueJobs are hooks as they run for this revision, under names of their own.
func uniqueJobs(s plan.Situation, hooks []manifest.Object) ([]manifest.Object, error) {
	var jobs []manifest.Object
	for _, o := range hooks {
		job, _, err := manifest.UniqueJob(o, manifest.JobRun{App: s.App, Sequence: int64(s.Revision), Attempt: 1})
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

var deploymentKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}

// observe fills in the live objects and how their kinds are served. The
// Deployments of the namespace have been read: they are all there are.
func (r *run) observe(ctx context.Context, s *plan.Situation, deployments []unstructured.Unstructured) error {
	refs := slices.Clone(s.Owned)
	for _, o := range s.Desired {
		refs = append(refs, kube.RefOf(o.Unstructured))
	}
	read := make(map[string]*unstructured.Unstructured, len(deployments))
	for i := range deployments {
		read[deployments[i].GetName()] = &deployments[i]
	}
	var unread []kube.Ref
	s.Live = make(map[string]*unstructured.Unstructured, len(refs))
	for _, ref := range refs {
		resource, err := r.Cluster.Resource(ref.GVK())
		var unknown *kube.UnknownKindError
		if err != nil && !errors.As(err, &unknown) {
			return err
		}
		if err == nil {
			s.Resources[ref.ID()] = resource
		}
		if ref.GVK() != deploymentKind || ref.Namespace != s.Namespace {
			unread = append(unread, ref)
		} else if live := read[ref.Name]; live != nil {
			s.Live[ref.ID()] = live
		}
	}
	found, err := r.Cluster.GetAll(ctx, unread)
	maps.Copy(s.Live, found)
	return err
}

// observeScalers fills in which workloads are scaled by somebody else, and how
// large these want them.
func (r *run) observeScalers(ctx context.Context, s *plan.Situation) error {
	scalers, err := r.Cluster.List(ctx, schema.GroupVersionKind{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}, s.Namespace, "")
	if err != nil && !kube.Refused(err) {
		return err
	}
	for i := range scalers {
		noteScaler(s, &scalers[i])
	}
	for _, o := range s.Desired {
		noteScaler(s, o.Unstructured)
	}
	return nil
}

// noteScaler remembers which workload an autoscaler sets the replicas of, and
// to how many at least.
func noteScaler(s *plan.Situation, o *unstructured.Unstructured) {
	group, kind := o.GroupVersionKind().Group, o.GetKind()
	switch group + "/" + kind {
	case "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject":
	default:
		return
	}
	target, _, err := unstructured.NestedStringMap(o.Object, "spec", "scaleTargetRef")
	if err != nil {
		return
	}
	ref := kube.Ref{APIVersion: target["apiVersion"], Kind: target["kind"], Namespace: o.GetNamespace(), Name: target["name"]}
	if ref.APIVersion == "" {
		ref.APIVersion = "apps/v1"
	}
	if ref.Kind == "" {
		ref.Kind = "Deployment"
	}
	s.Scaled[ref.ID()] = kind + " " + o.GetName()
	workload := ref.Name
	id := manifest.ID{Group: ref.GVK().Group, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
	if live := s.Live[ref.ID()]; live != nil {
		workload = plan.WorkloadOf(live)
	} else if desired, ok := manifest.Find(s.Desired, id); ok {
		workload = plan.WorkloadOf(desired.Unstructured)
	}
	s.Floor[workload] = max(s.Floor[workload], wanted(o))
}
