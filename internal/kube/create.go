package kube

import (
	"context"
	"crypto/rand"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// creationAnnotation names the call of Create that made an object.
const creationAnnotation = "towline.dev/creation"

// Create makes an object that must not be there yet; see IsAlreadyExists. When
// the answer to a request is lost, the object is recognised as its own by an
// annotation, so that it is neither made twice nor taken for somebody else's.
func (c *Cluster) Create(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := c.resource(RefOf(obj))
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", RefOf(obj), err)
	}
	options := metav1.CreateOptions{FieldManager: FieldManager, FieldValidation: metav1.FieldValidationStrict}
	return c.CreateBy(ctx, obj, func(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		return resource.Create(ctx, obj, options)
	})
}

// CreateBy is Create by other means: do sends one request to create the object
// that it is given, and its errors are as client-go's.
func (c *Cluster) CreateBy(ctx context.Context, obj *unstructured.Unstructured,
	do func(context.Context, *unstructured.Unstructured) (*unstructured.Unstructured, error)) (*unstructured.Unstructured, error) {
	obj = obj.DeepCopy()
	annotations := obj.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	mark := rand.Text()
	annotations[creationAnnotation] = mark
	obj.SetAnnotations(annotations)

	var created *unstructured.Unstructured
	attempts := 0
	err := retry(ctx, func(ctx context.Context) (err error) {
		attempts++
		created, err = do(ctx, obj)
		return err
	})
	if attempts > 1 && apierrors.IsAlreadyExists(err) {
		found, getErr := c.Get(ctx, RefOf(obj))
		if getErr == nil && found.GetAnnotations()[creationAnnotation] == mark {
			return found, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("create %w", c.Explain(RefOf(obj), err))
	}
	return created, nil
}

// IsAlreadyExists tells whether an error says that an object of that name was
// there before.
func IsAlreadyExists(err error) bool { return apierrors.IsAlreadyExists(err) }
