package rehearsal

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/kube"
)

// selecting are the kinds whose selectors a spare pod must not meet beside
// Services: a budget would count it, and with it evictions would be refused or
// allowed that are not; a Deployment's autoscaler would count its load; a
// ReplicationController would adopt it.
var selecting = []schema.GroupVersionKind{
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Version: "v1", Kind: "ReplicationController"},
}

// selectors are all that a spare pod must not meet. Services must be read;
// who may not read the others goes on without them.
func (r *rehearsal) selectors(ctx context.Context) ([]labels.Selector, error) {
	services, err := r.Cluster.Services(ctx, r.Namespace)
	if err != nil {
		return nil, err
	}
	var all []labels.Selector
	for _, s := range services {
		if len(s.Spec.Selector) > 0 {
			all = append(all, labels.SelectorFromSet(s.Spec.Selector))
		}
	}
	for _, kind := range selecting {
		found, err := r.Cluster.List(ctx, kind, r.Namespace, "")
		if err != nil && !kube.Refused(err) {
			return nil, fmt.Errorf("look for what selects pods: %w", err)
		}
		for _, o := range found {
			if s, ok := selectorOf(o); ok {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

func selectorOf(o unstructured.Unstructured) (labels.Selector, bool) {
	value, _, err := unstructured.NestedMap(o.Object, "spec", "selector")
	if err != nil || len(value) == 0 {
		return nil, false
	}
	if o.GetKind() == "ReplicationController" {
		plain, _, err := unstructured.NestedStringMap(o.Object, "spec", "selector")
		return labels.SelectorFromSet(plain), err == nil
	}
	var selector metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(value, &selector); err != nil {
		return nil, false
	}
	s, err := metav1.LabelSelectorAsSelector(&selector)
	return s, err == nil
}
