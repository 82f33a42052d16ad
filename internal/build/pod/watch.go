package pod

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
)

// lookAgain is how often a Pod is judged although nothing has changed: a
// trouble becomes final by lasting.
const lookAgain = time.Second

// watcher looks at one Pod while a build is in it.
type watcher struct {
	run    *run
	follow *kube.Follower[*corev1.Pod]
	seen   chan struct{} // something has changed
	// receives is closed when the first container may be sent the program.
	receives chan struct{}
	ready    chan struct{} // closed when the runner may answer
	last     *corev1.Pod
	said     string
}

// watch looks at the Pod until ctx ends, and ends ctx when the Pod is lost or
// will never start, with that as the cause.
func (r *run) watch(ctx context.Context, end context.CancelCauseFunc) *watcher {
	w := &watcher{run: r, seen: make(chan struct{}, 1), receives: make(chan struct{}), ready: make(chan struct{})}
	w.follow = r.cluster.FollowPods(ctx, kube.Scope{Namespace: r.record.Namespace, Name: r.record.Pod, Changed: func() {
		select {
		case w.seen <- struct{}{}:
		default:
		}
	}})
	go func() {
		if err := w.untilTrouble(ctx); err != nil {
			end(err)
		}
	}()
	return w
}

func (w *watcher) untilTrouble(ctx context.Context) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	var patience kube.Patience
	for {
		if err := w.follow.Err(); err != nil {
			return err
		}
		if w.follow.Synced() {
			if err := w.look(ctx, &patience, time.Now()); err != nil {
				return err
			}
		}
		select {
		case <-w.seen:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look looks at the Pod as it is now.
func (w *watcher) look(ctx context.Context, patience *kube.Patience, now time.Time) error {
	var pod *corev1.Pod
	for _, p := range w.follow.Items() {
		if p.UID == w.run.record.UID {
			pod = p
		}
	}
	if pod == nil {
		return w.missing(ctx)
	}
	w.last = pod
	if node := pod.Spec.NodeName; node != "" {
		w.run.node.Store(&node)
	}
	return w.judge(ctx, pod, patience, now)
}

// judge judges the Pod: the error is lost when it will not go on, and another
// when it will never begin.
func (w *watcher) judge(ctx context.Context, pod *corev1.Pod, patience *kube.Patience, now time.Time) error {
	if why, gone := over(pod); gone {
		if failed(pod) {
			why += lost(w.run.lastWords(ctx, kube.Trouble{Reason: kube.Crashing, Container: toolsContainer}))
		}
		return why
	}
	if receives(pod) {
		once(w.receives)
	}
	if begun(pod) {
		once(w.ready)
	}
	if pod.Status.Phase != corev1.PodPending {
		return nil
	}
	troubles := kube.PodTroubles([]*corev1.Pod{pod}, w.run.config.Unschedulable)
	w.say(troubles)
	if trouble, final := patience.Over(troubles, now); final {
		return fmt.Errorf("%s%s", trouble, w.run.lastWords(ctx, trouble))
	}
	if age := now.Sub(pod.CreationTimestamp.Time); age > w.run.config.Starting {
		return fmt.Errorf("pod %s has not started within %s: %s", pod.Name, w.run.config.Starting, waitsFor(pod))
	}
	return nil
}

// waitsFor says what the containers of a Pod are waiting for.
func waitsFor(pod *corev1.Pod) string {
	var words []string
	for _, status := range append(slices.Clip(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
		if waiting := status.State.Waiting; waiting != nil {
			words = append(words, strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", status.Name, waiting.Reason, waiting.Message), ": "))
		}
	}
	return strings.Join(words, "; ")
}

// missing says that the Pod is not there any more, unless it is: the first list
// of a watch may be older than the Pod.
func (w *watcher) missing(ctx context.Context) error {
	pod, err := w.run.cluster.Pod(ctx, w.run.record.Namespace, w.run.record.Pod)
	if err == nil && pod.UID == w.run.record.UID || err != nil && !kube.IsNotFound(err) {
		return nil
	}
	return goneFrom(w.last, w.run.record.Pod)
}

// say tells who watches what the Pod waits for, once.
func (w *watcher) say(troubles []kube.Trouble) {
	if len(troubles) == 0 || troubles[0].String() == w.said {
		return
	}
	w.said = troubles[0].String()
	fmt.Fprintf(w.run.build.Log, "pod backend: waiting: %s\n", strings.ReplaceAll(w.said, "\n", " "))
}

// goneFrom says that the Pod is not there any more.
func goneFrom(last *corev1.Pod, name string) error {
	if last != nil {
		if why, gone := over(last); gone {
			return why
		}
	}
	return lost(fmt.Sprintf("its Pod %s was deleted", name))
}

// over says why a Pod will not go on with its build. It is pure.
func over(pod *corev1.Pod) (why lost, gone bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return lost(fmt.Sprintf("its Pod %s is taken from node %s: %s: %s", pod.Name, pod.Spec.NodeName, c.Reason, c.Message)), true
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		ended := status.State.Terminated
		if status.Name != buildContainer || ended == nil {
			continue
		}
		if ended.Reason == "OOMKilled" {
			return lost(fmt.Sprintf("its Pod %s was killed since it used more memory than it may (OOMKilled); give the action more with pod.memory", pod.Name)), true
		}
		if pod.Status.Reason == "" {
			return lost(fmt.Sprintf("the runner in its Pod %s has ended (%s, exit code %d)", pod.Name, ended.Reason, ended.ExitCode)), true
		}
	}
	if failed(pod) {
		ended := pod.Status.InitContainerStatuses[0].State.Terminated
		return lost(fmt.Sprintf("the first container of its Pod %s, which brings Towline, has ended (%s, exit code %d)", pod.Name, ended.Reason, ended.ExitCode)), true
	}
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return lost(strings.TrimSuffix(fmt.Sprintf("its Pod %s has ended: %s: %s", pod.Name, pod.Status.Reason, pod.Status.Message), ": ")), true
	}
	if pod.DeletionTimestamp != nil {
		return lost(fmt.Sprintf("its Pod %s is being deleted", pod.Name)), true
	}
	return "", false
}

// once closes a channel that only the caller closes.
func once(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// receives tells whether the first container runs.
func receives(pod *corev1.Pod) bool {
	return len(pod.Status.InitContainerStatuses) > 0 && pod.Status.InitContainerStatuses[0].State.Running != nil
}

// failed tells whether the first container has not done its work.
func failed(pod *corev1.Pod) bool {
	if pod.Status.Reason != "" || len(pod.Status.InitContainerStatuses) == 0 {
		return false
	}
	ended := pod.Status.InitContainerStatuses[0].State.Terminated
	return ended != nil && ended.ExitCode != 0
}

// begun tells whether the runner may answer: the containers before it have done
// their work. The kubelet tells of a container's start up to a second late.
func begun(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodRunning {
		return true
	}
	if len(pod.Spec.InitContainers) > 1 || len(pod.Status.InitContainerStatuses) == 0 {
		return false
	}
	return pod.Status.InitContainerStatuses[0].State.Terminated != nil
}

// lastWords are the last lines of a container that crashes, each on a line of
// its own.
func (r *run) lastWords(ctx context.Context, trouble kube.Trouble) string {
	if trouble.Reason != kube.Crashing {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	const lines = 15
	text, err := r.cluster.LogTail(ctx, kube.LogRequest{
		Namespace: r.record.Namespace, Pod: r.record.Pod, Container: trouble.Container, Previous: trouble.Previous, Lines: lines,
	})
	if err != nil || text == "" {
		return ""
	}
	return "\nlast lines of its log:\n  | " + strings.ReplaceAll(text, "\n", "\n  | ")
}
