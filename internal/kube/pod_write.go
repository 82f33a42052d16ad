package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// CreatePod makes a pod that must not be there yet; see IsAlreadyExists. It is
// made once, also when an answer is lost.
func (c *Cluster) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	pod = pod.DeepCopy()
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return nil, fmt.Errorf("create pod %s: %w", pod.Name, err)
	}
	created, err := c.Create(ctx, &unstructured.Unstructured{Object: object})
	if err != nil {
		return nil, err
	}
	made := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(created.Object, made); err != nil {
		return nil, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	return made, nil
}

// Pod reads a pod. See IsNotFound.
func (c *Cluster) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := retry(ctx, func(ctx context.Context) (err error) {
		pod, err = c.core.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get pod %s: %w", name, err)
	}
	return pod, nil
}

// DeletePod tells a pod to end within a time, in whole seconds; with 0 the API
// server forgets it at once, whatever still runs of it. A uid that is not empty
// guards against another pod of that name. One that is gone is no error.
func (c *Cluster) DeletePod(ctx context.Context, namespace, name string, uid types.UID, within time.Duration) error {
	seconds := int64(within / time.Second)
	options := metav1.DeleteOptions{GracePeriodSeconds: &seconds}
	if uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err := retry(ctx, func(ctx context.Context) error { return c.core.Pods(namespace).Delete(ctx, name, options) })
	if err != nil && !apierrors.IsNotFound(err) && (uid == "" || !apierrors.IsConflict(err)) {
		return fmt.Errorf("delete pod %s: %w", name, err)
	}
	return nil
}
