package kube

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"golang.org/x/sync/errgroup"
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

// GetAll reads many objects at once and returns those that are there, by
// Ref.ID. A kind that the cluster does not serve has no objects.
func (c *Cluster) GetAll(ctx context.Context, refs []Ref) (map[string]*unstructured.Unstructured, error) {
	var mu sync.Mutex
	found := make(map[string]*unstructured.Unstructured, len(refs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Parallel)
	for _, ref := range refs {
		group.Go(func() error {
			if _, err := c.Resource(ref.GVK()); isUnknownKind(err) {
				return nil
			}
			obj, err := c.Get(ctx, ref)
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found[ref.ID()] = obj
			return nil
		})
	}
	return found, group.Wait()
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
