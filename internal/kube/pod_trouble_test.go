package kube

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestContainerTrouble(t *testing.T) {
	t.Parallel()
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	ended := func(code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}
	}
	cases := []struct {
		name   string
		status corev1.ContainerStatus
		want   string // Reason: Message; empty means no trouble
	}{
		{"a container that is being created", corev1.ContainerStatus{State: waiting("ContainerCreating", "")}, ""},
		{"an image that is not there", corev1.ContainerStatus{Image: "x:1", State: waiting("ErrImagePull", "x:1: not found")}, "ErrImagePull: x:1: not found"},
		{"a registry that is away for a moment", corev1.ContainerStatus{Image: "x:1", State: waiting("ErrImagePull", "connection refused")}, ""},
		{"a registry that stays away", corev1.ContainerStatus{Image: "x:1", State: waiting("ImagePullBackOff", "connection refused")}, "ImagePullBackOff: connection refused, image x:1"},
		{"a config that is not there", corev1.ContainerStatus{State: waiting("CreateContainerConfigError", "no such map")}, "CreateContainerConfigError: no such map"},
		{"one crash", corev1.ContainerStatus{RestartCount: 1, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, ""},
		{"the second crash", corev1.ContainerStatus{RestartCount: 1, State: ended(1, "Error")}, ""},
		{"the third crash", corev1.ContainerStatus{RestartCount: 2, State: ended(3, "Error")}, "crashes again and again: 3 crashes, exit code 3"},
		{"the third crash, waiting", corev1.ContainerStatus{RestartCount: 2, State: waiting("CrashLoopBackOff", ""), LastTerminationState: ended(137, "OOMKilled")}, "crashes again and again: 3 crashes, exit code 137, OOMKilled"},
		{"crashes that it has got over", corev1.ContainerStatus{RestartCount: 5, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, ""},
		{"an init container that has done its work", corev1.ContainerStatus{State: ended(0, "Completed")}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := ContainerTrouble(c.status)
			if got.String() != c.want || ok != (c.want != "") {
				t.Errorf("trouble %q, %t; want %q", got, ok, c.want)
			}
		})
	}
}

func TestPatienceLetsATroubleMendItself(t *testing.T) {
	t.Parallel()
	p := Patience{}
	config := []Trouble{{Reason: "CreateContainerConfigError", Grace: 5 * time.Second}}
	begin := time.Unix(0, 0)
	for _, c := range []struct {
		at       time.Duration
		troubles []Trouble
		over     bool
	}{
		{0, config, false}, {4 * time.Second, config, false}, {5 * time.Second, nil, false},
		{6 * time.Second, config, false}, {10 * time.Second, config, false}, {11 * time.Second, config, true},
		{12 * time.Second, []Trouble{{Reason: "ImagePullBackOff"}}, true},
	} {
		if _, over := p.Over(c.troubles, begin.Add(c.at)); over != c.over {
			t.Errorf("after %s: over %t, want %t", c.at, over, c.over)
		}
	}
}
