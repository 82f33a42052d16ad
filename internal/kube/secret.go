package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Secrets lists the Secrets of a namespace that a label selector names.
func (c *Cluster) Secrets(ctx context.Context, namespace, selector string) ([]corev1.Secret, error) {
	var list *corev1.SecretList
	err := retry(ctx, func(ctx context.Context) (err error) {
		list, err = c.core.Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		return err
	})
	if err != nil {
		if namespace == "" {
			return nil, fmt.Errorf("list secrets of all namespaces: %w", err)
		}
		return nil, fmt.Errorf("list secrets of namespace %s: %w", namespace, err)
	}
	return list.Items, nil
}

// CreateSecret creates a Secret and returns it with its resourceVersion.
func (c *Cluster) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	var created *corev1.Secret
	err := retry(ctx, func(ctx context.Context) (err error) {
		created, err = c.core.Secrets(secret.Namespace).Create(ctx, secret, metav1.CreateOptions{FieldManager: FieldManager})
		return err
	})
	if apierrors.IsAlreadyExists(err) {
		// The answer to a creation that went through may have been lost.
		found, getErr := c.core.Secrets(secret.Namespace).Get(ctx, secret.Name, metav1.GetOptions{})
		if getErr == nil && maps.EqualFunc(found.Data, secret.Data, bytes.Equal) {
			return found, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("create secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return created, nil
}

// PatchSecret replaces some data keys and annotations of a Secret, provided
// that it still has the resourceVersion given; otherwise see IsStale. It returns
// the Secret as it is then. The data are those that were given, before and now:
// the API server is spared to write them out once more, as they may be large.
func (c *Cluster) PatchSecret(ctx context.Context, secret *corev1.Secret, data map[string][]byte, annotations map[string]string) (*corev1.Secret, error) {
	metadata := map[string]any{"resourceVersion": secret.ResourceVersion}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	changes := map[string]any{"metadata": metadata}
	if len(data) > 0 { // null would delete all there is
		changes["data"] = data
	}
	patch, err := json.Marshal(changes)
	if err != nil {
		return nil, fmt.Errorf("encode secret %s: %w", secret.Name, err)
	}
	var answer *metav1.PartialObjectMetadata
	secrets := c.metadata.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(secret.Namespace)
	err = retry(ctx, func(ctx context.Context) (err error) {
		answer, err = secrets.Patch(ctx, secret.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	patched := *secret
	patched.ObjectMeta, patched.Data = answer.ObjectMeta, maps.Clone(secret.Data)
	if patched.Data == nil {
		patched.Data = map[string][]byte{}
	}
	maps.Copy(patched.Data, data)
	return &patched, nil
}
