package manifest

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// neighbours are the objects that say how requests reach a workload and what
// may end its pods. They are sorted out once, since asking every object about
// every other one takes seconds when there are a thousand.
type neighbours struct {
	selecting map[string][]selectingService // by namespace, each in the order of the objects
	running   map[string][]labelledWorkload
	budgets   map[string][]selectingBudget
	scaling   map[ID][]Object // autoscalers by their target, whose group is left out
	named     map[ID]bool     // Services that an Ingress or a route names
}

type selectingService struct {
	Object
	selector map[string]string
}

type labelledWorkload struct {
	Object
	labels map[string]string
}

type selectingBudget struct {
	Object
	selector labels.Selector
}

func neighboursOf(objs []Object) *neighbours {
	n := &neighbours{
		selecting: map[string][]selectingService{}, running: map[string][]labelledWorkload{}, budgets: map[string][]selectingBudget{},
		scaling: map[ID][]Object{}, named: map[ID]bool{},
	}
	for _, o := range objs {
		n.add(o)
	}
	return n
}

func (n *neighbours) add(o Object) {
	namespace := o.GetNamespace()
	gvk := o.GroupVersionKind()
	switch {
	case gvk.Group == "" && gvk.Kind == "Service":
		selector := stringMapAt(o.Object, "spec", "selector")
		if len(selector) > 0 && stringAt(o.Object, "spec", "type") != "ExternalName" {
			n.selecting[namespace] = append(n.selecting[namespace], selectingService{o, selector})
		}
	case gvk.Group == "policy" && gvk.Kind == "PodDisruptionBudget":
		if selector, ok := selectorOf(o); ok {
			n.budgets[namespace] = append(n.budgets[namespace], selectingBudget{o, selector})
		}
	case gvk.Group == "autoscaling" && gvk.Kind == "HorizontalPodAutoscaler", gvk.Group == "keda.sh" && gvk.Kind == "ScaledObject":
		target, _ := mapAt(o.Object, "spec", "scaleTargetRef")
		// KEDA's are about Deployments unless they say otherwise.
		id := ID{Kind: cmp.Or(stringAt(target, "kind"), "Deployment"), Namespace: namespace, Name: stringAt(target, "name")}
		n.scaling[id] = append(n.scaling[id], o)
	case slices.Contains(routeGroups, gvk.Group):
		n.addBackends(o.Object["spec"], namespace)
	}
	if _, ok := templatePath(o.Unstructured); ok {
		n.running[namespace] = append(n.running[namespace], labelledWorkload{o, TemplateLabels(o.Unstructured)})
	}
}

// selectorOf is the selector of a PodDisruptionBudget. One without selects
// nothing, and of one that is wrong the API server says so.
func selectorOf(budget Object) (labels.Selector, bool) {
	written, ok := mapAt(budget.Object, "spec", "selector")
	if !ok {
		return nil, false
	}
	var selector metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(written, &selector); err != nil {
		return nil, false
	}
	compiled, err := metav1.LabelSelectorAsSelector(&selector)
	return compiled, err == nil
}

// routeGroups are the API groups whose objects bring requests from outside.
var routeGroups = []string{"networking.k8s.io", "extensions", "gateway.networking.k8s.io"}

// addBackends takes up the Services that an Ingress or a route names anywhere
// below v: {service: {name}}, {serviceName} of an old Ingress, backendRefs.
func (n *neighbours) addBackends(v any, namespace string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			n.addBackends(item, namespace)
		}
	case map[string]any:
		for _, name := range []string{stringAt(v, "service", "name"), stringAt(v, "serviceName")} {
			n.named[ID{Kind: "Service", Namespace: namespace, Name: name}] = true
		}
		refs, _ := sliceAt(v, "backendRefs")
		for ref := range mapsOf(refs) {
			in := cmp.Or(stringAt(ref, "namespace"), namespace)
			n.named[ID{Kind: "Service", Namespace: in, Name: stringAt(ref, "name")}] = true
		}
		for _, item := range v {
			n.addBackends(item, namespace)
		}
	}
}

// services are those that select the pods of the workload.
func (n *neighbours) services(workload Object) []Object {
	var found []Object
	pods := TemplateLabels(workload.Unstructured)
	for _, s := range n.selecting[workload.GetNamespace()] {
		if holds(pods, s.selector) {
			found = append(found, s.Object)
		}
	}
	return found
}

// scalers are the autoscalers of the workload, of Kubernetes or of KEDA.
func (n *neighbours) scalers(workload Object) []Object {
	return n.scaling[ID{Kind: workload.GetKind(), Namespace: workload.GetNamespace(), Name: workload.GetName()}]
}

func (n *neighbours) scaled(workload Object) bool { return len(n.scalers(workload)) > 0 }

// disruption are the PodDisruptionBudgets that are about the workload.
func (n *neighbours) disruption(workload Object) []Object {
	var found []Object
	pods := labels.Set(TemplateLabels(workload.Unstructured))
	for _, b := range n.budgets[workload.GetNamespace()] {
		if b.selector.Matches(pods) {
			found = append(found, b.Object)
		}
	}
	return found
}

// detach is what DetachOf finds.
func (n *neighbours) detach(workload Object) time.Duration {
	for _, s := range n.services(workload) {
		if stringAt(s.Object, "spec", "type") == "LoadBalancer" || n.named[IDOf(s.Unstructured)] {
			return DefaultOutsideDetach
		}
	}
	return DefaultDetach
}
