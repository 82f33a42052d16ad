package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Parallel is how many requests a caller should have in flight at once.
const Parallel = 16

// Get reads one object. See IsNotFound.
func (c *Cluster) Get(ctx context.Context, ref Ref) (*unstructured.Unstructured, error) {
	resource, err := c.resource(ref)
	if err != nil {
		return nil, err
	}
	var obj *unstructured.Unstructured
	err = retry(ctx, func(ctx context.Context) (err error) {
		obj, err = resource.Get(ctx, ref.Name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", ref, err)
	}
	return obj, nil
}

func isUnknownKind(err error) bool {
	_, ok := err.(*UnknownKindError) //nolint:errorlint // Resource returns it bare.
	return ok
}

// List reads the objects of one kind in a namespace (empty: in all, or of a
// cluster-scoped kind) that a label selector names (empty: all).
func (c *Cluster) List(ctx context.Context, gvk schema.GroupVersionKind, namespace, selector string) ([]unstructured.Unstructured, error) {
	served, err := c.Resource(gvk)
	if err != nil {
		return nil, err
	}
	var list *unstructured.UnstructuredList
	err = retry(ctx, func(ctx context.Context) (err error) {
		list, err = c.dynamic.Resource(served.GVR).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s in namespace %q: %w", served.GVR.Resource, namespace, err)
	}
	return list.Items, nil
}
