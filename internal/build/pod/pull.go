package pod

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/towline/towline/internal/kube"
)

// pullable gives a Pod that is to be made what it needs to pull its images from
// Towline's own registry: a Secret of its own. It returns what is to be done
// once the Pod is there: the Secret goes with it then.
func (r *run) pullable(ctx context.Context, pod *corev1.Pod) (owned func(context.Context, *corev1.Pod) error, err error) {
	nothing := func(context.Context, *corev1.Pod) error { return nil }
	if r.config.Pull == nil {
		return nothing, nil
	}
	var images []string
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		images = append(images, c.Image)
	}
	auth, err := r.config.Pull(ctx, images)
	if err != nil || len(auth) == 0 {
		return nothing, err
	}
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels},
		Type:       corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: auth},
	}
	// The Secret is there before the Pod: a node that may not pull at once says
	// that it never may.
	if err := r.apply(ctx, secret); err != nil {
		return nil, err
	}
	pod.Spec.ImagePullSecrets = append([]corev1.LocalObjectReference{{Name: secret.Name}}, r.accountSecrets(ctx, pod)...)
	return func(ctx context.Context, made *corev1.Pod) error {
		secret.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: made.Name, UID: made.UID}}
		return r.apply(ctx, secret)
	}, nil
}

func (r *run) apply(ctx context.Context, secret *corev1.Secret) error {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(secret)
	if err == nil {
		_, err = r.cluster.Apply(ctx, &unstructured.Unstructured{Object: object}, kube.ApplyOptions{Force: true})
	}
	if err != nil {
		return fmt.Errorf("give the Pod its pull secret: %w", err)
	}
	return nil
}

// accountSecrets are the pull secrets of the Pod's service account: Kubernetes
// gives them only to Pods that name none.
func (r *run) accountSecrets(ctx context.Context, pod *corev1.Pod) []corev1.LocalObjectReference {
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	found, err := r.cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: pod.Namespace, Name: account})
	if err != nil {
		return nil // What the Pod lacks then is named by the wait for it.
	}
	var read corev1.ServiceAccount
	if runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &read) != nil {
		return nil
	}
	return read.ImagePullSecrets
}
