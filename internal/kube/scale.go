package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Scale sets how many replicas an object should have, through its scale
// subresource. The field then belongs to FieldManager as an update: an Apply
// that names another number takes Force.
func (c *Cluster) Scale(ctx context.Context, ref Ref, replicas int) error {
	resource, err := c.resource(ref)
	if err != nil {
		return fmt.Errorf("scale %s: %w", ref, err)
	}
	options := metav1.PatchOptions{FieldManager: FieldManager}
	err = retry(ctx, func(ctx context.Context) error {
		_, err := resource.Patch(ctx, ref.Name, types.MergePatchType, []byte(ScalePatch(replicas)), options, "scale")
		return err
	})
	if err != nil {
		return fmt.Errorf("scale %w", c.explain(ref, err))
	}
	return nil
}

// ScalePatch is the JSON merge patch by which Scale sets a number of replicas.
func ScalePatch(replicas int) string { return fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas) }
