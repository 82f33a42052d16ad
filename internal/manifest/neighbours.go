package manifest

import (
	"cmp"
	"maps"
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
	selecting map[oneLabel][]selectingService // by one label of the selector, each in the order of the objects
	running   map[string][]labelledWorkload   // by namespace
	having    map[oneLabel][]labelledWorkload // the same, by each label of their pods
	budgets   map[string][]selectingBudget
	scaling   map[ID][]Object // autoscalers by their target, whose group is left out
	named     map[ID]bool     // Services that an Ingress or a route names
}

type selectingService struct {
	Object
	selector map[string]string
	place    int // among the objects
}

// oneLabel is a label of the objects of a namespace.
type oneLabel struct{ namespace, name, value string }

// leastLabel is the label of a selector that its Service is looked up by.
func leastLabel(namespace string, selector map[string]string) oneLabel {
	name := slices.Min(slices.Collect(maps.Keys(selector)))
	return oneLabel{namespace, name, selector[name]}
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
		selecting: map[oneLabel][]selectingService{}, running: map[string][]labelledWorkload{}, having: map[oneLabel][]labelledWorkload{}, budgets: map[string][]selectingBudget{},
		scaling: map[ID][]Object{}, named: map[ID]bool{},
	}
	for i, o := range objs {
		n.add(o, i)
	}
	return n
}

func (n *neighbours) add(o Object, place int) {
	namespace := o.GetNamespace()
	gvk := o.GroupVersionKind()
	switch {
	case gvk.Group == "" && gvk.Kind == "Service":
		if selector := endpointSelector(o.Unstructured); len(selector) > 0 {
			at := leastLabel(namespace, selector)
			n.selecting[at] = append(n.selecting[at], selectingService{o, selector, place})
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
		workload := labelledWorkload{o, TemplateLabels(o.Unstructured)}
		n.running[namespace] = append(n.running[namespace], workload)
		for name, value := range workload.labels {
			at := oneLabel{namespace, name, value}
			n.having[at] = append(n.having[at], workload)
		}
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

// selected are the workloads whose pods have all labels of a selector, which
// is not empty.
func (n *neighbours) selected(namespace string, selector map[string]string) []Object {
	var found []Object
	for _, w := range n.having[leastLabel(namespace, selector)] {
		if holds(w.labels, selector) {
			found = append(found, w.Object)
		}
	}
	return found
}

// services are those that select the pods of the workload.
func (n *neighbours) services(workload Object) []Object {
	var selecting []selectingService
	pods, namespace := TemplateLabels(workload.Unstructured), workload.GetNamespace()
	for name, value := range pods {
		for _, s := range n.selecting[oneLabel{namespace, name, value}] {
			if holds(pods, s.selector) {
				selecting = append(selecting, s)
			}
		}
	}
	slices.SortFunc(selecting, func(a, b selectingService) int { return cmp.Compare(a.place, b.place) })
	var found []Object
	for _, s := range selecting {
		found = append(found, s.Object)
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
