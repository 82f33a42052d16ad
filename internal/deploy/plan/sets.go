package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// The marks of sets. A set is a Deployment of its own for one state of a
// workload's pods: web-5f9c2e81 beside web-0b7d1144. Its name comes from its
// content, so that the same content is the same set: nothing new is made when
// nothing changed, a resumed deployment finds what it made, and a rollback
// finds the set that it goes back to.
const (
	SetLabel      = "towline.dev/set"      // of a set, its pods, and the selectors that mean it
	WorkloadLabel = "towline.dev/workload" // of a set: the name that the manifests have
	PreviewLabel  = "towline.dev/preview"  // of a preview Service: the Service that it shows the next state of
)

const hashLength = 8 // hex digits

// PreviewName is the name of a Service's preview.
func PreviewName(service string) string { return service + "-preview" }

// SideBySide turns the Deployments that Services send requests to into sets,
// and points at them what pointed at the Deployments: the Services' selectors
// and the targets of autoscalers. Deployments that share a Service become one
// group with one mark, for a selector can name only one. With preview, each
// such Service gets a second one that will always show the newest set.
// The objects are changed in place; it is idempotent.
func SideBySide(objects []manifest.Object, preview bool) ([]manifest.Object, error) {
	renamed := map[string]string{}
	services := activeServices(objects)
	for _, group := range groups(services, Served(objects)) {
		hash, err := hashOf(group.deployments)
		if err != nil {
			return nil, err
		}
		for _, d := range group.deployments {
			if d.GetLabels()[SetLabel] != "" {
				continue
			}
			if err := markable(d); err != nil {
				return nil, err
			}
			old := d.GetName()
			if err := mark(d.Unstructured, hash); err != nil {
				return nil, err
			}
			renamed[d.GetNamespace()+"/"+old] = d.GetName()
		}
		for _, i := range group.services {
			service := services[i]
			if err := unstructured.SetNestedField(service.Object, hash, "spec", "selector", SetLabel); err != nil {
				return nil, fmt.Errorf("mark the selector of %s: %w", manifest.Ref(service.Unstructured), err)
			}
		}
	}
	for _, o := range objects {
		retarget(o.Unstructured, renamed)
	}
	if !preview {
		return objects, nil
	}
	return withPreviews(objects)
}

// Served are the Deployments that a Service of the objects sends requests to.
func Served(objects []manifest.Object) []manifest.Object {
	return manifest.SelectedBy(activeServices(objects), manifest.OfKind(objects, "apps", "Deployment"))
}

// activeServices are the Services of the manifests, without those that show or
// stand for one set.
func activeServices(objects []manifest.Object) []manifest.Object {
	return slices.DeleteFunc(manifest.Services(objects), func(s manifest.Object) bool {
		return s.GetLabels()[PreviewLabel] != "" || s.GetLabels()[BackendLabel] != ""
	})
}

// ServicesOf are the Services, without previews, that select one of the
// Deployments.
func ServicesOf(objects, deployments []manifest.Object) []manifest.Object {
	return manifest.Selecting(activeServices(objects), deployments)
}

// group are Deployments that share Services, which are known by their index.
type group struct {
	deployments []manifest.Object
	services    []int
}

// groups puts Deployments together that share a Service, directly or through
// others. The order is that of the Deployments.
func groups(services, deployments []manifest.Object) []*group {
	selecting := make([][]int, len(deployments))
	for s, selected := range manifest.Selected(services, deployments) {
		for _, d := range selected {
			selecting[d] = append(selecting[d], s)
		}
	}
	var found []*group
	of := make([]*group, len(services))
	for i, d := range deployments {
		mine := &group{deployments: []manifest.Object{d}}
		var shared []*group
		for _, s := range selecting[i] {
			if of[s] == nil {
				mine.services = append(mine.services, s)
			} else {
				shared = append(shared, of[s])
			}
		}
		if len(shared) > 0 {
			found = mine.absorb(found, shared)
		}
		for _, s := range mine.services {
			of[s] = mine
		}
		found = append(found, mine)
	}
	return found
}

// absorb takes up some of the groups that were found and returns the others.
func (g *group) absorb(found, some []*group) (rest []*group) {
	for _, other := range found {
		if !slices.Contains(some, other) {
			rest = append(rest, other)
			continue
		}
		g.deployments = append(slices.Clone(other.deployments), g.deployments...)
		g.services = append(g.services, other.services...)
	}
	return rest
}

// hashOf is the mark of a group: of all that its pods are made from. A group
// that has one keeps it.
func hashOf(group []manifest.Object) (string, error) {
	sum := sha256.New()
	for _, d := range group {
		if hash := d.GetLabels()[SetLabel]; hash != "" {
			return hash, nil
		}
		spec, _ := d.Object["spec"].(map[string]any)
		text, err := json.Marshal([]any{d.GetNamespace(), d.GetName(), spec["selector"], spec["template"]})
		if err != nil {
			return "", fmt.Errorf("encode %s: %w", manifest.Ref(d.Unstructured), err)
		}
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil))[:hashLength], nil
}

// ContentHash is a hash of all that a Deployment's pods are made from.
func ContentHash(d *unstructured.Unstructured) (string, error) {
	return hashOf([]manifest.Object{{Unstructured: d}})
}

// mark makes a Deployment the set of that hash.
func mark(d *unstructured.Unstructured, hash string) error {
	workload := d.GetName()
	labels := d.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[SetLabel], labels[WorkloadLabel] = hash, workload
	d.SetLabels(labels)
	d.SetName(workload + "-" + hash)
	for _, path := range [][]string{{"spec", "selector", "matchLabels", SetLabel}, {"spec", "template", "metadata", "labels", SetLabel}} {
		if err := unstructured.SetNestedField(d.Object, hash, path...); err != nil {
			return refusal.New("%s cannot become a set of its own: %v", manifest.Ref(d), err)
		}
	}
	return nil
}

// retarget points an autoscaler at the set that took its target's place.
func retarget(o *unstructured.Unstructured, renamed map[string]string) {
	field := scaleTarget(o)
	if field == "" {
		return
	}
	target, found, err := unstructured.NestedMap(o.Object, "spec", field)
	if err != nil || !found || (target["kind"] != "Deployment" && target["kind"] != nil) {
		return
	}
	name, _ := target["name"].(string)
	if set := renamed[o.GetNamespace()+"/"+name]; set != "" {
		target["name"] = set
		_ = unstructured.SetNestedMap(o.Object, target, "spec", field) // it was read from there
	}
}

// scaleTarget is the field of an autoscaler's spec that names what it scales,
// empty for other kinds.
func scaleTarget(o *unstructured.Unstructured) string {
	switch o.GroupVersionKind().Group + "/" + o.GetKind() {
	case "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject":
		return "scaleTargetRef"
	case "autoscaling.k8s.io/VerticalPodAutoscaler":
		return "targetRef"
	}
	return ""
}

// withPreviews adds a preview Service for each one that sends requests to a
// set.
func withPreviews(objects []manifest.Object) ([]manifest.Object, error) {
	for _, service := range ServicesOf(objects, Served(objects)) {
		name := PreviewName(service.GetName())
		if err := nameable(service, name, BlueGreen); err != nil {
			return nil, err
		}
		at := slices.IndexFunc(objects, func(o manifest.Object) bool {
			return o.GetKind() == "Service" && o.GetName() == name && o.GetNamespace() == service.GetNamespace()
		})
		if at >= 0 {
			if objects[at].GetLabels()[PreviewLabel] != service.GetName() {
				return nil, refusal.New("%sService %s is in the way: blue-green shows the new pods under this name before they get requests. Name yours differently, or leave it out", At(objects[at]), name)
			}
			continue
		}
		objects = append(objects, manifest.Object{Unstructured: previewOf(service.Unstructured), Source: service.Source})
	}
	return objects, nil
}

// previewOf is a Service for the inside of the cluster with the same ports and
// the same selector. What makes the other one reachable from outside is left
// out: two Services cannot have the same node port or address.
func previewOf(service *unstructured.Unstructured) *unstructured.Unstructured {
	spec, _ := service.Object["spec"].(map[string]any)
	kept := map[string]any{}
	for _, field := range []string{"selector", "sessionAffinity", "publishNotReadyAddresses"} {
		if value, ok := spec[field]; ok {
			kept[field] = value
		}
	}
	if spec["clusterIP"] == "None" {
		kept["clusterIP"] = "None"
	}
	ports, _ := spec["ports"].([]any)
	var plain []any
	for _, p := range ports {
		port, ok := p.(map[string]any)
		if !ok {
			continue
		}
		port = maps.Clone(port)
		delete(port, "nodePort")
		plain = append(plain, port)
	}
	kept["ports"] = plain
	preview := (&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Service", "spec": kept}}).DeepCopy()
	preview.SetName(PreviewName(service.GetName()))
	preview.SetNamespace(service.GetNamespace())
	labels := maps.Clone(service.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	labels[PreviewLabel] = service.GetName()
	preview.SetLabels(labels)
	return preview
}

// Set is a live Deployment that takes part in a cut-over beside the desired
// ones: it gives way to them.
type Set struct {
	Live *unstructured.Unstructured
	// Kept says that it stays, at no replicas, for a rollback: it belongs to
	// the last good revision, or is not the application's own.
	Kept bool
	// Hash is the pod-template-hash that all its pods have, empty when they
	// have several.
	Hash string
}

// Ref names the Deployment.
func (s Set) Ref() kube.Ref { return kube.RefOf(s.Live) }

func (s Set) replicas() int { return ReplicasOf(s.Live) }

// SelectedBy tells whether a selector means pods of the set. One that names a
// pod-template-hash may do so when the set's own is not known.
func (s Set) SelectedBy(selector map[string]string) bool {
	selector = maps.Clone(selector)
	if hash := selector[TemplateHash]; s.Hash == "" || hash == s.Hash {
		delete(selector, TemplateHash)
	}
	return Matches(selector, PodLabels(s.Live))
}

// ReplicasOf is how many pods a Deployment is to have; none said means one.
func ReplicasOf(d *unstructured.Unstructured) int {
	n, found, err := unstructured.NestedInt64(d.Object, "spec", "replicas")
	if err != nil || !found {
		return 1
	}
	return int(n)
}

// WorkloadOf is the name that the manifests have for a Deployment.
func WorkloadOf(d *unstructured.Unstructured) string {
	if name := d.GetLabels()[WorkloadLabel]; name != "" {
		return name
	}
	return d.GetName()
}

// PodLabels are the labels that a Deployment gives its pods.
func PodLabels(d *unstructured.Unstructured) map[string]string {
	labels, _, err := unstructured.NestedStringMap(d.Object, "spec", "template", "metadata", "labels")
	if err != nil {
		return nil
	}
	return labels
}

// MatchLabels are the labels by which a Deployment knows its pods.
func MatchLabels(d *unstructured.Unstructured) map[string]string {
	labels, _, err := unstructured.NestedStringMap(d.Object, "spec", "selector", "matchLabels")
	if err != nil {
		return nil
	}
	return labels
}
