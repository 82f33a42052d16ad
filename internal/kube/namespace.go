package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EnsureNamespace creates a namespace when it is missing and tells whether it
// did. Whoever may not read or create namespaces but may work in this one is
// not stopped here: the first object that is sent will tell.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string) (created bool, err error) {
	var found *corev1.Namespace
	err = retry(ctx, func(ctx context.Context) (err error) {
		found, err = c.core.Namespaces().Get(ctx, name, metav1.GetOptions{})
		return err
	})
	switch {
	case err == nil && found.DeletionTimestamp != nil:
		return false, fmt.Errorf("namespace %s is being deleted: wait until it is gone, or take another one", name)
	case err == nil || apierrors.IsForbidden(err):
		return false, nil
	case !apierrors.IsNotFound(err):
		return false, fmt.Errorf("get namespace %s: %w", name, err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	err = retry(ctx, func(ctx context.Context) error {
		_, err := c.core.Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: FieldManager})
		return err
	})
	if apierrors.IsAlreadyExists(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("create namespace %s: %w", name, err)
	}
	return true, nil
}
