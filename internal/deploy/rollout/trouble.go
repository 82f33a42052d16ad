package rollout

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// crashLimit is after how many crashes a container counts as crashing for
// good. One crash is often a database that was not there yet.
const crashLimit = 3

// settleTime is how long a trouble may last that other controllers often mend
// by themselves within moments: a config that the kubelet has not yet seen, a
// quota that a pod which is just ending gives back.
const settleTime = 5 * time.Second

// hiccupTime is how long a controller may fail for a reason that is not a
// refusal. It waits longer after each try, so one that succeeds may take a
// while to come.
const hiccupTime = 45 * time.Second

// trouble is a reason to end a rollout early.
type trouble struct {
	Pod       *corev1.Pod // nil when it is not about one pod
	Container string
	Reason    string // such as ImagePullBackOff
	Message   string
	Previous  bool          // the log to show is of the container's last run
	Grace     time.Duration // how long it may last before it ends the rollout
}

// key tells troubles apart over time.
func (t trouble) key() string {
	key := t.Reason + "/" + t.Container
	if t.Pod != nil {
		key += "/" + string(t.Pod.UID)
	}
	return key
}

func (t trouble) String() string {
	var b strings.Builder
	if t.Pod != nil {
		fmt.Fprintf(&b, "pod %s", t.Pod.Name)
		if t.Container != "" {
			fmt.Fprintf(&b, ", container %s", t.Container)
		}
		b.WriteString(": ")
	}
	b.WriteString(t.Reason)
	if t.Message != "" {
		b.WriteString(": " + t.Message)
	}
	return b.String()
}

// conditionTroubles are what the Deployment says of itself.
func conditionTroubles(d *appsv1.Deployment) []trouble {
	var found []trouble
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			found = append(found, trouble{Reason: c.Reason, Message: c.Message, Grace: refusalGrace(c.Message)})
		case c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded":
			found = append(found, trouble{Reason: c.Reason, Message: c.Message, Grace: settleTime})
		}
	}
	return found
}

// refusalGrace is how long the controller may fail to make pods. What the API
// server refuses stays refused; anything else, such as a request that timed out
// on a busy API server, the controller tries again by itself.
func refusalGrace(message string) time.Duration {
	for _, refused := range []string{" is forbidden", " is invalid", "denied the request"} {
		if strings.Contains(message, refused) {
			return settleTime
		}
	}
	return hiccupTime
}

// podTroubles are what keeps pods from ever becoming ready.
func podTroubles(pods []*corev1.Pod, unschedulable time.Duration) []trouble {
	var found []trouble
	for _, pod := range pods {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				found = append(found, trouble{Pod: pod, Reason: "Unschedulable", Message: c.Message, Grace: unschedulable})
			}
		}
		for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for _, status := range list {
				if t, ok := containerTrouble(status); ok {
					t.Pod, t.Container = pod, status.Name
					found = append(found, t)
				}
			}
		}
	}
	return found
}

// containerTrouble judges one container by the kubelet's reasons.
func containerTrouble(status corev1.ContainerStatus) (trouble, bool) {
	if crashes(status) >= crashLimit && !status.Ready {
		return trouble{Reason: "crashes again and again", Message: lastEnd(status), Previous: status.State.Terminated == nil}, true
	}
	waiting := status.State.Waiting
	if waiting == nil {
		return trouble{}, false
	}
	t := trouble{Reason: waiting.Reason, Message: waiting.Message}
	switch waiting.Reason {
	case "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError":
		return withImage(t, status), true
	case "ErrImagePull":
		// Some registries are away for a moment; these answers do not change.
		for _, final := range []string{"not found", "manifest unknown", "denied", "unauthorized"} {
			if strings.Contains(strings.ToLower(waiting.Message), final) {
				return withImage(t, status), true
			}
		}
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError", "PostStartHookError":
		t.Grace = settleTime
		return t, true
	}
	return trouble{}, false
}

func withImage(t trouble, status corev1.ContainerStatus) trouble {
	if !strings.Contains(t.Message, status.Image) {
		t.Message = strings.TrimPrefix(t.Message+", image "+status.Image, ", ")
	}
	return t
}

// crashes counts the runs that ended badly. A restart count is of ended runs;
// the present one counts when it has ended as well.
func crashes(status corev1.ContainerStatus) int {
	count := int(status.RestartCount)
	if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
		count++
	} else if status.State.Waiting != nil && status.State.Waiting.Reason == "CrashLoopBackOff" {
		count++
	}
	return count
}

func lastEnd(status corev1.ContainerStatus) string {
	ended := status.State.Terminated
	if ended == nil {
		ended = status.LastTerminationState.Terminated
	}
	if ended == nil {
		return fmt.Sprintf("%d crashes", crashes(status))
	}
	text := fmt.Sprintf("%d crashes, exit code %d", crashes(status), ended.ExitCode)
	if ended.Reason != "" && ended.Reason != "Error" {
		text += ", " + ended.Reason
	}
	if ended.Message != "" {
		text += ": " + ended.Message
	}
	return text
}
