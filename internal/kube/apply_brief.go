package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// patch sends a patch of one object and returns the answer.
type patch func(ctx context.Context, name string, kind types.PatchType, body []byte, options metav1.PatchOptions, below ...string) (*unstructured.Unstructured, error)

// patcher is how objects of the kind and namespace of ref are patched.
func (c *Cluster) patcher(ref Ref, brief bool) (patch, error) {
	if !brief {
		resource, err := c.resource(ref)
		if err != nil {
			return nil, err
		}
		return resource.Patch, nil
	}
	served, err := c.Resource(ref.GVK())
	if err != nil {
		return nil, err
	}
	resource := c.metadata.Resource(served.GVR)
	send := resource.Patch
	if served.Namespaced {
		send = resource.Namespace(ref.Namespace).Patch
	}
	return func(ctx context.Context, name string, kind types.PatchType, body []byte, options metav1.PatchOptions, below ...string) (*unstructured.Unstructured, error) {
		answer, err := send(ctx, name, kind, body, options, below...)
		if err != nil {
			return nil, err
		}
		return identityOf(ref, answer), nil
	}, nil
}

// identityOf is an object without anything but what tells it and its versions
// from others.
func identityOf(ref Ref, answer *metav1.PartialObjectMetadata) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetAPIVersion(ref.APIVersion)
	o.SetKind(ref.Kind)
	o.SetNamespace(answer.Namespace)
	o.SetName(answer.Name)
	o.SetUID(answer.UID)
	o.SetResourceVersion(answer.ResourceVersion)
	o.SetGeneration(answer.Generation)
	return o
}
