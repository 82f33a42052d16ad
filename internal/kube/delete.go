package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Delete removes one object and, in the background, what it owns. A uid that
// is not empty guards the deletion: another object of the same name stays. An
// object that is already gone is no error.
func (c *Cluster) Delete(ctx context.Context, ref Ref, uid types.UID) error {
	resource, err := c.resource(ref)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err = retry(ctx, func(ctx context.Context) error { return resource.Delete(ctx, ref.Name, options) })
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", ref, err)
	}
	return nil
}
