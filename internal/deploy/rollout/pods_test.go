package rollout

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
)

func TestPodsOfAnOwnerThatCountsCrashesItself(t *testing.T) {
	t.Parallel()
	status := func(s corev1.ContainerStatus) *corev1.Pod {
		pod := newPod("migrate-x", "migrate", false)
		s.Name, s.Image = "migrate", "registry.example/migrate:2"
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{s}
		return pod
	}
	pull := status(corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"}}})
	config := status(corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: `secret "db" not found`}}})
	crash := status(corev1.ContainerStatus{RestartCount: 7, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}})
	begin := time.Unix(100, 0)

	t.Run("an image that cannot be pulled is trouble at once", func(t *testing.T) {
		t.Parallel()
		p := Pods{}
		why, pod := p.Trouble([]*corev1.Pod{pull}, begin)
		if pod != pull || !strings.Contains(why, "ImagePullBackOff: not found, image registry.example/migrate:2") {
			t.Errorf("%q of %v", why, pod)
		}
	})
	t.Run("a config that is missing is trouble when it lasts", func(t *testing.T) {
		t.Parallel()
		p := Pods{}
		if why, pod := p.Trouble([]*corev1.Pod{config}, begin); pod != nil {
			t.Errorf("trouble at once: %s", why)
		}
		if why, pod := p.Trouble([]*corev1.Pod{config}, begin.Add(kube.SettleTime)); pod != config || !strings.Contains(why, `secret "db" not found`) {
			t.Errorf("%q of %v", why, pod)
		}
	})
	t.Run("crashes are left to the owner, and do not hide another trouble", func(t *testing.T) {
		t.Parallel()
		p := Pods{}
		if why, pod := p.Trouble([]*corev1.Pod{crash}, begin); pod != nil {
			t.Errorf("trouble: %s", why)
		}
		if _, pod := p.Trouble([]*corev1.Pod{crash, pull}, begin); pod != pull {
			t.Errorf("trouble of %v", pod)
		}
	})
}
