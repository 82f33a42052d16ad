package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
)

// How much of a failing pod is shown, and how long it may take to ask for it.
const (
	shownLines   = 20
	shownEvents  = 6
	diagnoseTime = 5 * time.Second
)

// diagnose is what a failing pod has to say: its warnings and the last lines
// of its log, each line on its own. Empty when there is no pod. What cannot be
// read is left out, for the deployment has failed already.
func (w *Waiter) diagnose(ctx context.Context, pod *corev1.Pod, container string, previous bool) string {
	if pod == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), diagnoseTime)
	defer cancel()
	var b strings.Builder
	if container == "" {
		fmt.Fprintf(&b, "\npod %s is %s and not ready", pod.Name, strings.ToLower(string(pod.Status.Phase)))
	}
	if events, err := w.Cluster.Events(ctx, pod.Namespace, pod.UID); err == nil {
		b.WriteString(warningLines(pod.Name, events))
	}
	container = firstUnready(pod, container)
	request := kube.LogRequest{Namespace: pod.Namespace, Pod: pod.Name, Container: container, Previous: previous, Lines: shownLines}
	text, err := w.Cluster.LogTail(ctx, request)
	if (err != nil || text == "") && previous {
		request.Previous = false
		text, err = w.Cluster.LogTail(ctx, request)
	}
	if err == nil && text != "" {
		fmt.Fprintf(&b, "\nlast lines of container %s of pod %s:", container, pod.Name)
		for line := range strings.Lines(text) {
			b.WriteString("\n  | " + strings.TrimRight(line, "\r\n"))
		}
	}
	return b.String()
}

func warningLines(pod string, events []kube.Event) string {
	var b strings.Builder
	shown := 0
	for _, e := range events {
		if e.Type != corev1.EventTypeWarning || shown == shownEvents {
			continue
		}
		if shown++; shown == 1 {
			fmt.Fprintf(&b, "\nevents of pod %s:", pod)
		}
		fmt.Fprintf(&b, "\n  %s: %s", e.Reason, strings.ReplaceAll(strings.TrimSpace(e.Message), "\n", " "))
		if e.Count > 1 {
			fmt.Fprintf(&b, " (%d times)", e.Count)
		}
	}
	return b.String()
}

// firstUnready is the container to show: the one named, else the first that is
// not ready, else the first.
func firstUnready(pod *corev1.Pod, container string) string {
	if container != "" {
		return container
	}
	for _, status := range pod.Status.ContainerStatuses {
		if !status.Ready {
			return status.Name
		}
	}
	if len(pod.Spec.Containers) > 0 {
		return pod.Spec.Containers[0].Name
	}
	return ""
}
