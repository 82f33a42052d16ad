package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
