package manifest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// templatePath is where the pod template of a workload stands: the object
// with metadata and spec of a Pod. ok is false for objects that run no pods.
func templatePath(u *unstructured.Unstructured) (fields []string, ok bool) {
	switch u.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"},
		schema.GroupKind{Group: "apps", Kind: "StatefulSet"},
		schema.GroupKind{Group: "apps", Kind: "DaemonSet"},
		schema.GroupKind{Group: "apps", Kind: "ReplicaSet"},
		schema.GroupKind{Group: "batch", Kind: "Job"},
		schema.GroupKind{Kind: "ReplicationController"}:
		return []string{"spec", "template"}, true
	case schema.GroupKind{Group: "batch", Kind: "CronJob"}:
		return []string{"spec", "jobTemplate", "spec", "template"}, true
	case schema.GroupKind{Kind: "Pod"}:
		return nil, true
	}
	return nil, false
}

// Template is the pod template of a workload: the map that holds the pod's
// metadata and spec, not a copy. ok is false when u runs no pods or has no
// template where one belongs.
func Template(u *unstructured.Unstructured) (template map[string]any, ok bool) {
	fields, ok := templatePath(u)
	if !ok {
		return nil, false
	}
	return mapAt(u.Object, fields...)
}

// container is one container of a workload, with the path that names it.
type container struct {
	field string // spec.template.spec.containers[web]
	name  string
	init  bool
	value map[string]any
}

func (c container) image() string { return stringAt(c.value, "image") }

// containers are all containers of a workload, init containers first, as the
// kubelet starts them.
func containers(u *unstructured.Unstructured) []container {
	template, ok := Template(u)
	if !ok {
		return nil
	}
	prefix, _ := templatePath(u)
	var cs []container
	for _, list := range []string{"initContainers", "containers"} {
		items, _ := sliceAt(template, "spec", list)
		for i, item := range items {
			value, ok := item.(map[string]any)
			if !ok {
				continue
			}
			name := stringAt(value, "name")
			field := fmt.Sprintf("spec.%s[%s]", list, name)
			if name == "" {
				field = fmt.Sprintf("spec.%s[%d]", list, i)
			}
			if len(prefix) > 0 {
				field = strings.Join(prefix, ".") + "." + field
			}
			cs = append(cs, container{field: field, name: name, init: list == "initContainers", value: value})
		}
	}
	return cs
}

// Images are the images that the workloads of objs run, sorted, each once.
func Images(objs []Object) []string {
	var images []string
	for _, o := range objs {
		for _, c := range containers(o.Unstructured) {
			if c.image() != "" {
				images = append(images, c.image())
			}
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// TemplateLabels are the labels that the pods of a workload get.
func TemplateLabels(workload *unstructured.Unstructured) map[string]string {
	template, _ := Template(workload)
	return stringMapAt(template, "metadata", "labels")
}

// Selects reports whether the pods of a workload are endpoints of a Service:
// same namespace, and labels that hold all of a non-empty selector.
func Selects(service, workload *unstructured.Unstructured) bool {
	selector := endpointSelector(service)
	return len(selector) > 0 && service.GetNamespace() == workload.GetNamespace() && holds(TemplateLabels(workload), selector)
}

// endpointSelector is what chooses the endpoints of a Service, empty when that
// is not done by labels.
func endpointSelector(service *unstructured.Unstructured) map[string]string {
	if !isKind(service, "", "Service") || stringAt(service.Object, "spec", "type") == "ExternalName" {
		return nil
	}
	return stringMapAt(service.Object, "spec", "selector")
}

// holds tells whether labels have all of a selector, which may be empty.
func holds(have, selector map[string]string) bool {
	return labels.ValidatedSetSelector(selector).Matches(labels.Set(have))
}
