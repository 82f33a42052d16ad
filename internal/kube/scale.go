package kube

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Guard is what an object must still be for a write to happen. The zero Guard
// lets it happen to whatever is there.
type Guard struct {
	UID             types.UID
	ResourceVersion string
}

// AsRead is the guard that an object is the very one, and as it was, when it
// was read.
func AsRead(object *unstructured.Unstructured) Guard {
	return Guard{UID: object.GetUID(), ResourceVersion: object.GetResourceVersion()}
}

// Scale sets how many replicas an object should have, through its scale
// subresource. One that is not as the guard says is left alone, which is an
// error (see IsStale). The field then belongs to FieldManager as an update: an
// Apply that names another number takes Force.
func (c *Cluster) Scale(ctx context.Context, ref Ref, replicas int, guard Guard) error {
	resource, err := c.resource(ref)
	if err != nil {
		return fmt.Errorf("scale %s: %w", ref, err)
	}
	options := metav1.PatchOptions{FieldManager: FieldManager}
	patch := []byte(ScalePatch(replicas, guard))
	err = retry(ctx, func(ctx context.Context) error {
		_, err := resource.Patch(ctx, ref.Name, types.MergePatchType, patch, options, "scale")
		return err
	})
	if err != nil {
		return fmt.Errorf("scale %w", c.explain(ref, err))
	}
	return nil
}

// ScalePatch is the JSON merge patch by which Scale sets a number of replicas.
func ScalePatch(replicas int, guard Guard) string {
	type metadata struct {
		UID             types.UID `json:"uid,omitempty"`
		ResourceVersion string    `json:"resourceVersion,omitempty"`
	}
	var patch struct {
		Metadata metadata `json:"metadata,omitzero"`
		Spec     struct {
			Replicas int `json:"replicas"`
		} `json:"spec"`
	}
	patch.Metadata, patch.Spec.Replicas = metadata(guard), replicas
	text, err := json.Marshal(patch)
	if err != nil {
		panic(fmt.Sprintf("encode strings: %v", err))
	}
	return string(text)
}
