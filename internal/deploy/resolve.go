package deploy

import (
	"context"
	"maps"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// resolve gives the rendered objects the names that they will have in the
// cluster: with two sets side by side, each Deployment that gets requests is a
// set of its own. It is the journal's form of a revision: whoever resumes it or
// goes back to it finds these very objects.
func (r *run) resolve(ctx context.Context, objects []manifest.Object) ([]manifest.Object, error) {
	if r.record.Strategy == plan.Rolling {
		changed, err := r.selectorChanged(ctx, objects)
		if err != nil || changed == "" {
			return objects, err
		}
		r.log.Line("plan    the selector of %s cannot be changed in place: its new pods come as a set of their own beside the old ones, as with strategy immutable", changed)
		r.record.Strategy = plan.Immutable
	}
	objects, err := plan.SideBySide(objects, r.record.Strategy == plan.BlueGreen)
	if err != nil {
		return nil, err
	}
	for _, o := range plan.Served(objects) {
		r.log.Line("        %s is deployed as the set %s", plan.WorkloadOf(o.Unstructured), o.GetName())
	}
	return manifest.Sort(objects), nil
}

// selectorChanged names a Deployment whose live selector is another one than
// the desired: Kubernetes lets nobody change it.
func (r *run) selectorChanged(ctx context.Context, objects []manifest.Object) (string, error) {
	served := plan.Served(objects)
	var refs []kube.Ref
	for _, o := range served {
		refs = append(refs, kube.RefOf(o.Unstructured))
	}
	live, err := r.Cluster.GetAll(ctx, refs)
	if err != nil {
		return "", err
	}
	for i, o := range served {
		if d := live[refs[i].ID()]; d != nil && !maps.Equal(plan.MatchLabels(d), plan.MatchLabels(o.Unstructured)) {
			return refs[i].String(), nil
		}
	}
	return "", nil
}
