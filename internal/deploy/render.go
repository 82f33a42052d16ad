package deploy

import (
	"cmp"
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
)

const defaultManifests = "k8s"

// render makes the objects of a request from its files. No request but for
// the kinds that the cluster serves.
func (r *run) render(ctx context.Context, request Request) ([]manifest.Object, error) {
	objects, changes, err := r.load(ctx, request)
	if err != nil {
		return nil, err
	}
	changed, err := manifest.SetImages(objects, request.Images)
	if err != nil {
		return nil, err
	}
	changes = append(changes, changed...)
	if r.record.Namespace == "" {
		r.record.Namespace = cmp.Or(namespaceOf(objects), r.Cluster.Namespace, "default")
	}
	if err := manifest.SetNamespace(objects, r.record.Namespace, r.scope, ownNamespaces(objects)...); err != nil {
		return nil, err
	}
	r.log.Line("render  %d objects for namespace %s", len(objects), r.record.Namespace)
	if objects, changed, err = r.complete(request, objects); err != nil {
		return nil, err
	}
	r.note(append(changes, changed...))
	r.warnUnpinned(objects)
	return manifest.Sort(objects), nil
}

// load reads the manifests or renders the chart of a request.
func (r *run) load(ctx context.Context, request Request) (objects []manifest.Object, changes []manifest.Change, err error) {
	path := cmp.Or(strings.TrimSuffix(request.Manifests, "/"), defaultManifests)
	if chart := request.Helm; chart != nil {
		path = chart.Chart
		objects, changes, err = r.Charts.LoadChart(ctx, request.Root, manifest.HelmChart{
			Path: chart.Chart, Release: cmp.Or(chart.Release, request.App), Namespace: cmp.Or(request.Namespace, r.Cluster.Namespace, "default"),
			Values: chart.Values, Set: chart.Set, KubeVersion: r.version,
		})
	} else {
		objects, err = manifest.LoadWith(request.Root, path, request.Variables)
	}
	if err == nil && len(objects) == 0 {
		err = refusal.New("%s holds no Kubernetes objects: put the application's manifests there, or set manifests in the deploy action", path)
	}
	return objects, changes, err
}

// complete sets what the manifests leave out and a rollout without loss needs,
// unless they are wanted as they are written.
func (r *run) complete(request Request, objects []manifest.Object) (completed []manifest.Object, changes []manifest.Change, err error) {
	if request.AsWritten {
		return objects, nil, nil
	}
	recipe, err := manifest.RecipeFor(r.version)
	if err != nil {
		return nil, nil, err
	}
	recipe.ReadinessPath, recipe.ReadinessService = r.Recipe.ReadinessPath, r.Recipe.ReadinessService
	recipe.Detach, recipe.LongestRequest = waitOf(request.Propagation, r.Recipe.Detach), r.Recipe.LongestRequest
	if recipe.ReadinessPath == "" && request.Verify.URL == "" {
		recipe.ReadinessPath, recipe.ReadinessService = request.Verify.Path, request.Verify.Service
	}
	if request.Surge != "" {
		if changes, err = manifest.SetSurge(objects, request.Surge); err != nil {
			return nil, nil, err
		}
	}
	changes = append(changes, manifest.Complete(objects, recipe)...)
	objects, frozen := manifest.FreezeConfigs(objects)
	changes = append(changes, frozen...)
	return objects, append(changes, manifest.NameJobs(objects)...), nil
}

// note logs what was changed in the manifests.
func (r *run) note(changes []manifest.Change) {
	for _, change := range changes {
		r.log.Line("        %s", change)
	}
}

// warnUnpinned names the images whose contents may change under their name.
func (r *run) warnUnpinned(objects []manifest.Object) {
	for _, image := range manifest.Images(objects) {
		if !strings.Contains(image, "@sha256:") {
			r.log.Line("        warning: image %s is not pinned by digest: what it runs can change, and a rollback may not bring back what ran before", image)
		}
	}
}

// scope asks the cluster whether a kind lives in namespaces.
func (r *run) scope(gvk schema.GroupVersionKind) (namespaced, known bool) {
	resource, err := r.Cluster.Resource(gvk)
	return resource.Namespaced, err == nil
}

// namespaceOf is the one namespace that the manifests name, or empty.
func namespaceOf(objects []manifest.Object) string {
	found := ""
	for _, o := range objects {
		switch namespace := o.GetNamespace(); {
		case namespace == "" || namespace == found:
		case found == "":
			found = namespace
		default:
			return ""
		}
	}
	return found
}

// ownNamespaces are the namespaces that the manifests bring themselves:
// objects may be put there.
func ownNamespaces(objects []manifest.Object) []string {
	var names []string
	for _, o := range manifest.OfKind(objects, "", "Namespace") {
		names = append(names, o.GetName())
	}
	return names
}
