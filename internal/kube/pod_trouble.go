package kube

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// crashLimit is after how many crashes a container counts as crashing for
// good. One crash is often a database that was not there yet.
const crashLimit = 3

// SettleTime is how long a trouble may last that other controllers often mend
// by themselves within moments: a config that the kubelet has not yet seen, a
// quota that a pod which is just ending gives back.
const SettleTime = 5 * time.Second

// Crashing is the Reason of a container that crashes too often.
const Crashing = "crashes again and again"

// Trouble is what keeps a pod from ever starting, or another reason not to wait
// for it any longer.
type Trouble struct {
	Pod       *corev1.Pod // nil when it is not about one pod
	Container string
	Reason    string // such as ImagePullBackOff
	Message   string
	Previous  bool          // the log to show is of the container's last run
	Grace     time.Duration // how long it may last before it ends the wait
}

// key tells troubles apart over time.
func (t Trouble) key() string {
	key := t.Reason + "/" + t.Container
	if t.Pod != nil {
		key += "/" + string(t.Pod.UID)
	}
	return key
}

func (t Trouble) String() string {
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

// PodTroubles are what keeps pods from ever becoming ready. Unschedulable is how
// long one may find no node. It is pure.
func PodTroubles(pods []*corev1.Pod, unschedulable time.Duration) []Trouble {
	var found []Trouble
	for _, pod := range pods {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				found = append(found, Trouble{Pod: pod, Reason: "Unschedulable", Message: c.Message, Grace: unschedulable})
			}
		}
		for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for _, status := range list {
				if t, ok := ContainerTrouble(status); ok {
					t.Pod, t.Container = pod, status.Name
					found = append(found, t)
				}
			}
		}
	}
	return found
}

// ContainerTrouble judges one container by the kubelet's reasons.
func ContainerTrouble(status corev1.ContainerStatus) (Trouble, bool) {
	if crashes(status) >= crashLimit && !status.Ready {
		return Trouble{Reason: Crashing, Message: lastEnd(status), Previous: status.State.Terminated == nil}, true
	}
	waiting := status.State.Waiting
	if waiting == nil {
		return Trouble{}, false
	}
	t := Trouble{Reason: waiting.Reason, Message: waiting.Message}
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
		t.Grace = SettleTime
		return t, true
	}
	return Trouble{}, false
}

func withImage(t Trouble, status corev1.ContainerStatus) Trouble {
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

// Patience remembers since when a trouble has lasted. The zero value is ready;
// it is not safe for concurrent use.
type Patience struct{ since map[string]time.Time }

// Over returns the first Trouble that has lasted longer than it may.
func (p *Patience) Over(troubles []Trouble, now time.Time) (Trouble, bool) {
	if p.since == nil {
		p.since = map[string]time.Time{}
	}
	present := map[string]bool{}
	for _, t := range troubles {
		present[t.key()] = true
		first, known := p.since[t.key()]
		if !known {
			first = now
			p.since[t.key()] = now
		}
		if now.Sub(first) >= t.Grace {
			return t, true
		}
	}
	for key := range p.since {
		if !present[key] {
			delete(p.since, key)
		}
	}
	return Trouble{}, false
}
