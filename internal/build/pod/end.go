package pod

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
)

const (
	// stopWithin is how long the commands and the runner may take to stop.
	stopWithin = 15 * time.Second
	// goneEvery is how often it is looked whether a Pod is gone.
	goneEvery = 50 * time.Millisecond
)

// dismiss removes the Pod of a build that has ended and been emptied. Its
// commands have ended; a Pod with databases is waited for. The result is kept
// by then, and what cannot be removed is left to the next server's sweep.
func (r *run) dismiss(ctx context.Context, l *link) {
	ctx, cancel := r.removing(ctx)
	defer cancel()
	// It also ends without having been told so.
	_ = l.leave(ctx)
	var err error
	if len(r.build.Services) > 0 {
		err = r.delete(ctx)
	} else {
		err = r.cluster.DeletePod(ctx, r.record.Namespace, r.record.Pod, r.record.UID, grace*time.Second)
	}
	if err != nil {
		r.config.Log.WarnContext(ctx, "remove the Pod of a build that has ended", "build", r.build.Key, "error", err)
	}
}

// stop stops the build, so that what its commands print at their end is in the
// log, and removes its Pod.
func (r *run) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	l := r.link()
	defer l.close()
	// A runner that does not listen is removed all the same.
	if _, err := l.stop(ctx); err == nil {
		_ = r.followLog(ctx, l)
	}
	return r.remove(ctx)
}

// delete deletes the Pod and returns once it is gone.
func (r *run) delete(ctx context.Context) error {
	pod, err := r.cluster.Pod(ctx, r.record.Namespace, r.record.Pod)
	if kube.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the Pod of the build: %w", err)
	}
	if pod.Annotations[markAnnotation] != r.record.Mark {
		return nil // another build's
	}
	return r.deletePod(ctx, pod)
}

// deletePod deletes a Pod and waits until it is gone. When it is still there
// after Config.Ending, its node does not answer, and the API server forgets it:
// on that node it may run on until the node is heard of again.
func (r *run) deletePod(ctx context.Context, pod *corev1.Pod) error {
	for _, patience := range []time.Duration{grace * time.Second, 0} {
		if err := r.cluster.DeletePod(ctx, pod.Namespace, pod.Name, pod.UID, patience); err != nil {
			return fmt.Errorf("remove the Pod of the build: %w", err)
		}
		for until := time.Now().Add(r.config.Ending); time.Now().Before(until); {
			found, err := r.cluster.Pod(ctx, pod.Namespace, pod.Name)
			if kube.IsNotFound(err) || err == nil && found.UID != pod.UID {
				return nil
			}
			if err != nil {
				return fmt.Errorf("remove the Pod of the build: %w", err)
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("remove the Pod of the build: %w", context.Cause(ctx))
			case <-time.After(goneEvery):
			}
		}
	}
	return fmt.Errorf("remove the Pod of the build: %s/%s does not go: look at its finalizers", pod.Namespace, pod.Name)
}
