package deploy

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// observeConfigs decides about the frozen ConfigMaps and Secrets that the
// desired objects do not have. Those that a kept revision names stay: its set
// may be scaled up again by whoever goes back. The others go, whichever revision
// brought them.
func (r *run) observeConfigs(ctx context.Context, s *plan.Situation) error {
	needed, err := r.configsInJournal()
	if err != nil {
		return err
	}
	s.Owned = slices.DeleteFunc(s.Owned, func(ref kube.Ref) bool { return needed[ref.ID()] })
	for _, kind := range []string{"ConfigMap", "Secret"} {
		found, err := r.Cluster.List(ctx, schema.GroupVersionKind{Version: "v1", Kind: kind}, s.Namespace, manifest.ConfigLabel+","+plan.AppLabel+"="+s.App)
		if err != nil {
			return err
		}
		for i := range found {
			ref := kube.RefOf(&found[i])
			if needed[ref.ID()] || slices.ContainsFunc(s.Owned, ref.Same) {
				continue
			}
			s.Owned = append(s.Owned, ref)
			s.Live[ref.ID()] = &found[i]
		}
	}
	return nil
}

// configsInJournal are the ConfigMaps and Secrets that the workloads of good
// revisions name, by kube.Ref.ID.
func (r *run) configsInJournal() (map[string]bool, error) {
	needed := map[string]bool{}
	for _, e := range r.journal.Entries {
		if !e.Good() {
			continue
		}
		objects, err := e.Objects()
		if err != nil {
			return nil, err
		}
		for _, o := range manifest.Workloads(objects) {
			for _, id := range manifest.ConfigsOf(o.Unstructured) {
				needed[kube.Ref{APIVersion: "v1", Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}.ID()] = true
			}
		}
	}
	return needed, nil
}
