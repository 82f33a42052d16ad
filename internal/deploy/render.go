package deploy

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
)

const defaultManifests = "k8s"

// render makes the objects of a request from its files. No request but for
// the kinds that the cluster serves.
func (r *run) render(request Request) ([]manifest.Object, error) {
	path := cmp.Or(strings.TrimSuffix(request.Manifests, "/"), defaultManifests)
	objects, err := manifest.Load(request.Root, path)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, refusal.New("%s holds no Kubernetes objects: put the application's manifests there, or set manifests in the deploy action", path)
	}
	changes, err := manifest.SetImages(objects, request.Images)
	if err != nil {
		return nil, err
	}
	if r.record.Namespace == "" {
		r.record.Namespace = cmp.Or(namespaceOf(objects), r.Cluster.Namespace, "default")
	}
	if err := manifest.SetNamespace(objects, r.record.Namespace, r.scope, ownNamespaces(objects)...); err != nil {
		return nil, err
	}
	r.log.Line("render  %d objects from %s for namespace %s", len(objects), path, r.record.Namespace)
	if !request.AsWritten {
		recipe := r.Recipe
		if recipe.ReadinessPath == "" && request.Verify.URL == "" {
			recipe.ReadinessPath, recipe.ReadinessService = request.Verify.Path, request.Verify.Service
		}
		changes = append(changes, manifest.Complete(objects, recipe)...)
		changes = append(changes, manifest.HashConfigs(objects)...)
	}
	for _, change := range changes {
		r.log.Line("        %s", change)
	}
	r.warnUnpinned(objects)
	return manifest.Sort(objects), nil
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
