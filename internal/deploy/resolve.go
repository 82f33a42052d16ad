package deploy

import (
	"context"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/pullsecret"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rehearsal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// resolve gives the rendered objects the names that they will have in the
// cluster: with two sets side by side, each Deployment that gets requests is a
// set of its own. It is the journal's form of a revision: whoever resumes it or
// goes back to it finds these very objects.
func (r *run) resolve(ctx context.Context, objects []manifest.Object) ([]manifest.Object, error) {
	objects, err := r.equip(ctx, objects)
	if err != nil {
		return nil, err
	}
	if r.record.Strategy == plan.Rolling {
		changed, err := r.selectorChanged(ctx, objects)
		if err != nil || changed == "" {
			return objects, err
		}
		r.log.Line("plan    the selector of %s cannot be changed in place: its new pods come as a set of their own beside the old ones, as with strategy immutable", changed)
		r.record.Strategy = plan.Immutable
	}
	objects, err = plan.SideBySide(objects, r.record.Strategy == plan.BlueGreen)
	if err != nil {
		return nil, err
	}
	if r.settings.Route != "" {
		if objects, err = plan.ByRoute(objects, r.settings.Route); err != nil {
			return nil, err
		}
	}
	for _, o := range plan.Served(objects) {
		r.log.Line("        %s is deployed as the set %s", plan.WorkloadOf(o.Unstructured), o.GetName())
	}
	return manifest.Sort(objects), nil
}

// selectorChanged names an object whose selector a rolling update cannot
// change; see unrollable.
func (r *run) selectorChanged(ctx context.Context, objects []manifest.Object) (string, error) {
	var refs []kube.Ref
	for _, o := range plan.ServicesOf(objects, plan.Served(objects)) {
		refs = append(refs, kube.RefOf(o.Unstructured))
	}
	services, err := r.Cluster.GetAll(ctx, refs)
	if err != nil {
		return "", err
	}
	running, err := r.Cluster.List(ctx, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, r.record.Namespace, "")
	if err != nil {
		return "", err
	}
	return unrollable(objects, services, running), nil
}

// unrollable names a Deployment whose live selector is another one than the
// desired, for Kubernetes lets nobody change it, or a Service whose desired
// selector means none of the pods that it sends requests to now: nobody would
// get any from its write on, for the new pods are not there yet. It is empty
// when there is neither.
func unrollable(objects []manifest.Object, services map[string]*unstructured.Unstructured, running []unstructured.Unstructured) string {
	served := plan.Served(objects)
	desired := make(map[string]manifest.Object, len(served))
	for _, o := range served {
		desired[kube.RefOf(o.Unstructured).ID()] = o
	}
	var busy []*unstructured.Unstructured
	for i := range running {
		ref := kube.RefOf(&running[i])
		if o, ok := desired[ref.ID()]; ok && !maps.Equal(plan.MatchLabels(&running[i]), plan.MatchLabels(o.Unstructured)) {
			return ref.String()
		}
		if plan.ReplicasOf(&running[i]) > 0 {
			busy = append(busy, &running[i])
		}
	}
	for _, o := range plan.ServicesOf(objects, served) {
		ref, before, after := kube.RefOf(o.Unstructured), 0, 0
		now := maps.Clone(plan.SelectorOf(services[ref.ID()]))
		delete(now, plan.TemplateHash)
		for _, d := range busy {
			if d.GetNamespace() != ref.Namespace || !plan.Matches(now, plan.PodLabels(d)) {
				continue
			}
			if before++; plan.Matches(plan.SelectorOf(o.Unstructured), plan.PodLabels(d)) {
				after++
			}
		}
		if before > 0 && after == 0 {
			return ref.String()
		}
	}
	return ""
}

// equip gives the pods what they need of the deployer: the draining proxy when
// it is wanted, and a secret to pull their images with, the proxy's among them.
func (r *run) equip(ctx context.Context, objects []manifest.Object) ([]manifest.Object, error) {
	var changes []manifest.Change
	if r.settings.Drain == rehearsal.PolicyProxy {
		var err error
		if changes, err = r.drainProxy(ctx, objects); err != nil {
			return nil, err
		}
	}
	if r.settings.PullSecret != "off" {
		config, err := r.pulling(ctx)
		if err != nil {
			return nil, err
		}
		var added []manifest.Change
		if objects, added, err = pullsecret.Add(objects, config); err != nil {
			return nil, err
		}
		changes = append(changes, added...)
	}
	r.note(changes)
	return objects, nil
}

// pulling is how the application's pull secrets are made. The pods of the last
// good revision may be started anew until they are gone; and who cannot make
// passwords keeps the one that it has.
func (r *run) pulling(ctx context.Context) (pullsecret.Config, error) {
	config := pullsecret.Config{
		App: r.record.App, Host: r.Pull.Host, Password: r.Pull.Password, AccountSecrets: pullsecret.AccountSecrets(ctx, r.Cluster),
	}
	if good := r.journal.GoodBefore(r.journal.Latest() + 1); good != nil {
		running, err := good.Objects()
		if err != nil {
			return config, err
		}
		config.Running = running
	}
	return config, nil
}

// renew gives the pull secrets of an earlier revision passwords that are good
// today.
func (r *run) renew(ctx context.Context, objects []manifest.Object) ([]manifest.Object, error) {
	config, err := r.pulling(ctx)
	if err != nil {
		return nil, err
	}
	return pullsecret.Renew(objects, config)
}

// drainProxy puts the draining proxy into the pods that get requests.
func (r *run) drainProxy(ctx context.Context, objects []manifest.Object) ([]manifest.Change, error) {
	if r.AgentImage == nil {
		return nil, refusal.New("drain: proxy needs the image of the agent: push it with `towline agent push REF` and name it with --agent-image, or deploy through a server, whose registry has it")
	}
	image, err := r.AgentImage(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the image of the draining proxy: %w", err)
	}
	live, err := r.Cluster.List(ctx, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, r.record.Namespace, "")
	if err != nil {
		return nil, err
	}
	running := make([]manifest.Object, len(live))
	for i := range live {
		running[i].Unstructured = &live[i]
	}
	return manifest.AddDrainProxy(objects, manifest.DrainProxy{
		Image: image, Version: r.version, Detach: r.propagation(objects), Longest: r.Recipe.LongestRequest, Live: running,
	})
}
