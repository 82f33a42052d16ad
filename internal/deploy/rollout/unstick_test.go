package rollout

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestStuckPods(t *testing.T) {
	t.Parallel()
	set := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": map[string]any{"name": "db", "uid": "db", "generation": int64(2)},
		"status": map[string]any{"observedGeneration": int64(2), "updateRevision": "new"},
	}}
	pod := func(name, revision string, ready bool) *corev1.Pod {
		p := newPod(name, "db", ready)
		p.Labels = map[string]string{"controller-revision-hash": revision}
		return p
	}
	crashing := pod("db-1", "old", false)
	crashing.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
	ending := pod("db-1", "old", false)
	ending.DeletionTimestamp = &metav1.Time{}
	foreign := newPod("x", "other", false)
	cases := []struct {
		name      string
		pod       *corev1.Pod
		reverting bool
		want      bool
	}{
		{"an old pod that crashes", crashing, false, true},
		{"an old pod that is only slow", pod("db-1", "old", false), false, false},
		{"a pod of the failed revision that is not ready, while reverting", pod("db-1", "old", false), true, true},
		{"an old pod that is ready", pod("db-1", "old", true), true, false},
		{"a pod of the revision it is going to", pod("db-1", "new", false), true, false},
		{"a pod that is ending already", ending, true, false},
		{"somebody else's pod", foreign, true, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := len(stuckPods(set, []*corev1.Pod{c.pod}, c.reverting)) == 1; got != c.want {
				t.Errorf("stuck %t, want %t", got, c.want)
			}
		})
	}
	lagging := set.DeepCopy()
	lagging.SetGeneration(3)
	if got := stuckPods(lagging, []*corev1.Pod{crashing}, true); len(got) != 0 {
		t.Error("a set whose controller lags does not know which pods are old")
	}
}
