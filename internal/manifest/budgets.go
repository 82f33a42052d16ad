package manifest

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// budgetWarnings are about budgets that do the opposite of what they are for.
func budgetWarnings(objs []Object) []Change {
	var changes []Change
	for _, o := range OfKind(objs, "apps", "Deployment") {
		budgets := budgetsOf(objs, o)
		if len(budgets) > 1 {
			changes = append(changes, warn(o, "", nil, "%s select its pods: with more than one budget no pod can be evicted, and nodes cannot be drained", nameAll(budgets)))
		}
		for _, b := range budgets {
			if field, value, never := neverEvicts(objs, b, o); never {
				changes = append(changes, warn(b, field, value, "lets no pod of %s be evicted, so that its node cannot be drained: let one be unavailable", Ref(o.Unstructured)))
			}
		}
	}
	return changes
}

// neverEvicts reports whether a budget leaves no pod of a Deployment to evict.
func neverEvicts(objs []Object, b, o Object) (field string, value any, never bool) {
	if v, ok := valueAt(b.Object, "spec", "maxUnavailable"); ok && isNone(v) {
		return "spec.maxUnavailable", v, true
	}
	v, ok := valueAt(b.Object, "spec", "minAvailable")
	if !ok {
		return "", nil, false
	}
	if v == "100%" {
		return "spec.minAvailable", v, true
	}
	least, number := asInt(v)
	replicas, written := intAt(o.Object, "spec", "replicas")
	if !written {
		replicas = 1
	}
	return "spec.minAvailable", v, number && !scaler(objs, o) && replicas > 0 && least >= replicas
}

// budgeted reports whether a PodDisruptionBudget of objs is about the workload.
func budgeted(objs []Object, o Object) bool { return len(budgetsOf(objs, o)) > 0 }

// budgetsOf are the PodDisruptionBudgets of objs that are about the workload.
func budgetsOf(objs []Object, o Object) []Object {
	return slices.DeleteFunc(OfKind(objs, "policy", "PodDisruptionBudget"), func(b Object) bool {
		written, ok := mapAt(b.Object, "spec", "selector")
		if !ok || b.GetNamespace() != o.GetNamespace() {
			return true
		}
		var selector metav1.LabelSelector
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(written, &selector); err != nil {
			return true // the API server says what is wrong with it
		}
		matches, err := metav1.LabelSelectorAsSelector(&selector)
		return err != nil || !matches.Matches(labels.Set(TemplateLabels(o.Unstructured)))
	})
}
