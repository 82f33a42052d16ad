package kube

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
)

// maxLogBytes bounds what one log tail may bring, however long its lines are.
const maxLogBytes = 16 << 10

// LogRequest names the log of one container.
type LogRequest struct {
	Namespace string
	Pod       string
	Container string
	Previous  bool  // of the container's run before this one, after a crash
	Lines     int64 // how many of the last lines
}

// LogTail returns the last lines of a container's log, at most 16 KiB.
func (c *Cluster) LogTail(ctx context.Context, r LogRequest) (string, error) {
	limit := int64(maxLogBytes)
	stream, err := c.core.Pods(r.Namespace).GetLogs(r.Pod, &corev1.PodLogOptions{
		Container: r.Container, Previous: r.Previous, TailLines: &r.Lines, LimitBytes: &limit,
	}).Stream(ctx)
	if err != nil {
		return "", fmt.Errorf("read the log of pod %s: %w", r.Pod, err)
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, maxLogBytes))
	if err != nil {
		return "", fmt.Errorf("read the log of pod %s: %w", r.Pod, err)
	}
	return strings.TrimRight(string(text), "\n"), nil
}

// Event is one thing that happened to an object.
type Event struct {
	Time    time.Time
	Type    string // Normal or Warning
	Reason  string // such as FailedScheduling
	Message string
	Count   int // how often, at least 1
}

// Events are the events of one object, oldest first.
func (c *Cluster) Events(ctx context.Context, namespace string, uid types.UID) ([]Event, error) {
	selector := fields.OneTermEqualSelector("involvedObject.uid", string(uid)).String()
	list, err := c.core.Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list events of namespace %s: %w", namespace, err)
	}
	events := make([]Event, 0, len(list.Items))
	for _, e := range list.Items {
		events = append(events, eventOf(e))
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return events, nil
}

// eventOf reads an event of either recorder: the old one fills lastTimestamp
// and count, the new one eventTime and series.
func eventOf(e corev1.Event) Event {
	event := Event{Time: e.LastTimestamp.Time, Type: e.Type, Reason: e.Reason, Message: e.Message, Count: max(1, int(e.Count))}
	if e.Series != nil {
		event.Time, event.Count = e.Series.LastObservedTime.Time, int(e.Series.Count)
	}
	if event.Time.IsZero() {
		event.Time = e.EventTime.Time
	}
	return event
}

// Pods reads the pods of a namespace that a label selector names.
func (c *Cluster) Pods(ctx context.Context, namespace, selector string) ([]*corev1.Pod, error) {
	var list *corev1.PodList
	err := retry(ctx, func(ctx context.Context) (err error) {
		list, err = c.core.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list pods in namespace %q: %w", namespace, err)
	}
	pods := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[i] = &list.Items[i]
	}
	return pods, nil
}
