package rollout

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

// stuckPods are the pods of a StatefulSet that it would wait for without end:
// its controller replaces the next pod only when all are ready, also when one
// of them never will be because of the very template that is being replaced.
// While reverting, every pod of the failed revision that is not ready counts;
// otherwise only one that is in trouble.
func stuckPods(o *unstructured.Unstructured, pods []*corev1.Pod, reverting bool) []*corev1.Pod {
	revision, found, err := unstructured.NestedString(o.Object, "status", "updateRevision")
	if o.GetKind() != "StatefulSet" || err != nil || !found {
		return nil
	}
	if _, lags := kube.Lags(o); lags {
		return nil // It does not know yet which revision it is going to.
	}
	var stuck []*corev1.Pod
	for _, pod := range pods {
		owner := metav1.GetControllerOf(pod)
		if owner == nil || owner.UID != o.GetUID() || pod.DeletionTimestamp != nil || IsReady(pod) ||
			pod.Labels[appsv1.ControllerRevisionHashLabelKey] == revision {
			continue
		}
		if reverting || len(kube.PodTroubles([]*corev1.Pod{pod}, 0)) > 0 {
			stuck = append(stuck, pod)
		}
	}
	return stuck
}

// unstick deletes the pods that a rollout would wait for without end. Their
// controller makes them anew, from the new template.
func (w *Waiter) unstick(ctx context.Context, pods []*corev1.Pod) error {
	for _, pod := range pods {
		ref := kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
		if err := w.Cluster.Delete(ctx, ref, pod.UID); err != nil && !kube.IsStale(err) {
			return err
		}
		w.Log.Line("        deleted Pod %s, which is not ready and of an older revision: its StatefulSet would wait for it without end   DELETE /api/v1/namespaces/%s/pods/%s",
			pod.Name, pod.Namespace, pod.Name)
	}
	return nil
}
