package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// dryRunAll sends every object as a server-side dry-run and returns what each
// would become. One whose fields of ours are live just as it has them is not
// sent: it becomes what it is. A refusal ends the deployment here: nothing has
// been changed.
func (r *run) dryRunAll(ctx context.Context, s plan.Situation) (map[string]*unstructured.Unstructured, error) {
	var mu sync.Mutex
	merged := make(map[string]*unstructured.Unstructured, len(s.Desired))
	refusals := make([]string, len(s.Desired))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(kube.Parallel)
	skipped, same := 0, map[string]*unstructured.Unstructured{}
	for i, o := range s.Desired {
		ref := kube.RefOf(o.Unstructured)
		if r.awaitsOther(s, o) || r.newNamespace && o.GetNamespace() == s.Namespace {
			skipped++
			continue
		}
		live := s.Live[ref.ID()]
		object, _ := plan.YieldReplicas(plan.Stamp(o.Unstructured, s.App, s.Namespace, s.Revision), live, s.Scaled[ref.ID()])
		if live != nil && kube.Unchanged(live, object, plan.SequenceLabel) {
			same[ref.ID()] = live
			continue
		}
		group.Go(func() error {
			// What becomes of a new object is of interest to a preview only.
			result, err := r.dryRun(ctx, object, kube.ApplyOptions{Force: s.Force, Brief: live == nil && !r.previews})
			if err != nil && kube.Refused(err) {
				refusals[i] = plan.At(o) + err.Error()
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			merged[ref.ID()] = result
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("dry-run: %w", err)
	}
	refusals = slices.DeleteFunc(refusals, func(text string) bool { return text == "" })
	if len(refusals) > 0 {
		return nil, refusal.New("the API server refuses %d of %d objects in a dry-run, nothing has been changed:\n%s", len(refusals), len(s.Desired), strings.Join(refusals, "\n"))
	}
	r.log.Line("dry-run %d objects accepted%s   PATCH ...?dryRun=All&fieldManager=%s", len(merged), notAsked(len(same), skipped), kube.FieldManager)
	maps.Copy(merged, same)
	return merged, nil
}

// notAsked says about which objects the API server was not asked.
func notAsked(same, skipped int) string {
	note := ""
	if same > 0 {
		note = fmt.Sprintf(", %d are as they were applied before", same)
	}
	if skipped > 0 {
		note += fmt.Sprintf(", %d not asked about: what they need is not there yet", skipped)
	}
	return note
}

// awaitsOther tells that an object cannot be judged before another one of the
// same deployment is there: its kind's definition or its namespace.
func (r *run) awaitsOther(s plan.Situation, o manifest.Object) bool {
	gvk := o.GroupVersionKind()
	if _, served := s.Resources[kube.RefOf(o.Unstructured).ID()]; !served {
		for _, crd := range manifest.OfKind(s.Desired, "apiextensions.k8s.io", "CustomResourceDefinition") {
			group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
			if group == gvk.Group && kind == gvk.Kind {
				return true
			}
		}
	}
	if o.GetNamespace() == s.Namespace || o.GetNamespace() == "" {
		return false
	}
	for _, namespace := range manifest.OfKind(s.Desired, "", "Namespace") {
		if namespace.GetName() == o.GetNamespace() && s.Live[kube.RefOf(namespace.Unstructured).ID()] == nil {
			return true
		}
	}
	return false
}
