package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// WatchPod calls seen with each state of a pod, the last one with gone set,
// and then returns. Unlike a follower it also shows the state with which the
// pod went, where the containers' exit codes are; when the watch was away at
// that moment, it is the state before. It returns sooner when ctx ends.
func (c *Cluster) WatchPod(ctx context.Context, namespace, name string, seen func(pod *corev1.Pod, gone bool)) error {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()}
	last := &corev1.Pod{}
	for {
		var list *corev1.PodList
		err := retry(ctx, func(ctx context.Context) (err error) {
			list, err = c.core.Pods(namespace).List(ctx, options)
			return err
		})
		if err != nil {
			return fmt.Errorf("watch pod %s: %w", name, err)
		}
		if len(list.Items) == 0 {
			seen(last, true)
			return nil
		}
		last = &list.Items[0]
		seen(last, false)
		from := options
		from.ResourceVersion = list.ResourceVersion
		events, err := c.core.Pods(namespace).Watch(ctx, from)
		if err == nil {
			if pod, gone := drainEvents(events, seen); gone {
				return nil
			} else if pod != nil {
				last = pod
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("watch pod %s: %w", name, context.Cause(ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// drainEvents hands on what a watch brings until it ends.
func drainEvents(events watch.Interface, seen func(*corev1.Pod, bool)) (last *corev1.Pod, gone bool) {
	defer events.Stop()
	for event := range events.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return last, false // an error, such as a version that is too old
		}
		last = pod
		seen(pod, event.Type == watch.Deleted)
		if event.Type == watch.Deleted {
			return last, true
		}
	}
	return last, false
}

// WatchEvents calls seen with each event of an object that comes from now on,
// until ctx ends. It ends sooner when the cluster does not let events be
// watched.
func (c *Cluster) WatchEvents(ctx context.Context, namespace string, uid types.UID, seen func(Event)) error {
	selector := fields.OneTermEqualSelector("involvedObject.uid", string(uid)).String()
	watching, err := c.core.Events(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: selector})
	if err != nil {
		return fmt.Errorf("watch events of namespace %s: %w", namespace, err)
	}
	defer watching.Stop()
	for event := range watching.ResultChan() {
		if e, ok := event.Object.(*corev1.Event); ok {
			seen(eventOf(*e))
		}
	}
	return nil
}
