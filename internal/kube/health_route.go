package kube

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// httpRoute judges a route of the Gateway API by what its parents, the
// gateways, say of the very generation that is there: that they have accepted
// it and have found its backends. It never fails by itself: a gateway that is
// started later, or a backend that comes after it, makes it good.
func httpRoute(obj *unstructured.Unstructured) Health {
	if refs, _, err := unstructured.NestedSlice(obj.Object, "spec", "parentRefs"); err == nil && len(refs) == 0 {
		return healthy("it is attached to no gateway")
	}
	parents, _, err := unstructured.NestedSlice(obj.Object, "status", "parents")
	if err != nil || len(parents) == 0 {
		return busy("no gateway has seen it")
	}
	for _, item := range parents {
		parent, _ := item.(map[string]any)
		name, _, _ := unstructured.NestedString(parent, "parentRef", "name")
		list, _ := parent["conditions"].([]any)
		if missing := parentMissing(conditionsOf(list), obj.GetGeneration()); missing != "" {
			return busy("gateway %s %s", name, missing)
		}
	}
	return healthy("every gateway has accepted it and found its backends")
}

// parentMissing says what keeps one gateway from serving a generation of a
// route, or nothing.
func parentMissing(said []condition, generation int64) string {
	for _, kind := range []string{"Accepted", "ResolvedRefs"} {
		at := slices.IndexFunc(said, func(c condition) bool { return c.kind == kind && c.generation == generation })
		switch {
		case at < 0:
			return fmt.Sprintf("has not said %s of generation %d", kind, generation)
		case said[at].status != string(corev1.ConditionTrue):
			return fmt.Sprintf("says %s %s: %s", kind, said[at].status, said[at])
		}
	}
	return ""
}
