package deploy

import (
	"context"
	"slices"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rehearsal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// rehearseDrain sees on a spare pod of each Deployment how its pods end, and
// puts it into the record. A pod template that was rehearsed for an earlier
// revision is not rehearsed again.
func (r *run) rehearseDrain(ctx context.Context, s plan.Step) error {
	defer r.limit.pause()() // A rehearsal has limits of its own.
	if err := rehearsal.Sweep(ctx, r.Cluster, r.record.Namespace, r.record.App); err != nil {
		return err // What a killed process has left would be in the way.
	}
	for _, ref := range s.Sets {
		id := manifest.ID{Group: ref.GVK().Group, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
		set, ok := manifest.Find(r.situation.Desired, id)
		if !ok {
			continue
		}
		hash, err := plan.ContentHash(set.Unstructured)
		if err != nil {
			return err
		}
		drain, known := r.journal.Rehearsed(hash)
		if !known {
			config, ok := r.rehearsalOf(set, hash)
			if !ok {
				r.log.Line("        %s: no Service sends TCP requests to it, so there is nothing to rehearse", ref.Name)
				continue
			}
			if drain, err = rehearsal.Run(ctx, config); err != nil {
				return err
			}
		}
		r.record.Drain = append(slices.DeleteFunc(r.record.Drain, func(d pipeline.Drain) bool { return d.Template == drain.Template }), drain)
		r.entry.Deployment.Drain = r.record.Drain
		proceed, message := rehearsal.Decide(r.situation.Knobs.Drain, drain)
		r.log.Line("        %s", message)
		if !proceed {
			return refusal.New("%s", message)
		}
	}
	return nil
}

// rehearsalOf is what to rehearse of a Deployment, not ok when no Service sends
// requests to it that can be rehearsed.
func (r *run) rehearsalOf(set manifest.Object, hash string) (rehearsal.Config, bool) {
	template, ok := manifest.Template(set.Unstructured)
	if !ok {
		return rehearsal.Config{}, false
	}
	for _, service := range plan.ServicesOf(r.situation.Desired, []manifest.Object{set}) {
		port, ok := rehearsal.PortOf(service.Object, template)
		if !ok {
			continue
		}
		return rehearsal.Config{
			Cluster: r.Cluster, Namespace: set.GetNamespace(), App: r.record.App, Template: template, Hash: hash, Port: port,
			Path: r.verify.Path, Detach: r.situation.Knobs.Propagation,
			Wait:   func(ctx context.Context, pod string) (string, error) { return r.podReady(ctx, set.GetNamespace(), pod) },
			Report: func(text string) { r.log.Report(set.GetName(), text) },
		}, true
	}
	return rehearsal.Config{}, false
}

// podReady waits until a single pod is ready. Why it never will be is a text.
func (r *run) podReady(ctx context.Context, namespace, pod string) (string, error) {
	err := r.waiter().Wait(ctx, kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: pod}, 0)
	if refusal.Is(err) && ctx.Err() == nil {
		return err.Error(), nil
	}
	return "", err
}
