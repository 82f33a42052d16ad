package job

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/kube"
)

// The timing of a run that is waited for.
const (
	lookAgain  = time.Second      // troubles become final by lasting
	deleteTime = 30 * time.Second // to delete the Job
	stopTime   = 10 * time.Second // for its pods to stop then
)

// following is one Job that is waited for.
type following struct {
	Config
	ref         kube.Ref
	uid         types.UID
	completions int
	selector    string // of its pods

	stop    context.CancelFunc // of what follows
	changed chan struct{}
	synced  atomic.Bool // the Job has been looked for once
	job     *kube.Follower[*unstructured.Unstructured]
	pods    *kube.Follower[*corev1.Pod]
	err     error
	logs    *logs
	trouble rollout.Pods
	well    map[types.UID]bool // pods that were seen to end well
	end     time.Time
}

// newFollowing begins to follow a Job and its pods. They are followed beyond
// the end of ctx: the last that is seen of them is their stopping.
func newFollowing(ctx context.Context, config Config, made *unstructured.Unstructured) *following {
	beyond, stop := context.WithCancel(context.WithoutCancel(ctx))
	f := &following{
		Config: config, ref: kube.RefOf(made), uid: made.GetUID(), completions: 1, stop: stop,
		selector: batchv1.ControllerUidLabel + "=" + string(made.GetUID()),
		changed:  make(chan struct{}, 1), well: map[types.UID]bool{},
		trouble: rollout.Pods{Cluster: config.Cluster, Unschedulable: config.Unschedulable},
	}
	if job, err := typed(made); err == nil {
		if job.Spec.Completions != nil {
			f.completions = int(*job.Spec.Completions)
		}
		if job.Spec.Selector != nil {
			f.selector = metav1.FormatLabelSelector(job.Spec.Selector)
		}
	}
	notify := func() {
		select {
		case f.changed <- struct{}{}:
		default:
		}
	}
	f.job, f.err = config.Cluster.Follow(beyond, f.ref, func() { f.synced.Store(true); notify() })
	f.pods = config.Cluster.FollowPods(beyond, kube.Scope{Namespace: f.ref.Namespace, Selector: f.selector, Changed: notify})
	f.logs = newLogs(beyond, config, f.ref.Namespace, f.pods)
	return f
}

// wait returns nil when the Job has ended well.
func (f *following) wait(ctx context.Context) error {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		s, err := f.look()
		if err != nil {
			return err
		}
		if s.Line != "" {
			f.Log.Report(f.ref.Name, s.Line)
		}
		switch s.Fate {
		case well:
			f.end = f.Now()
			f.lastPods(ctx)
			return nil
		case failed:
			f.lastPods(ctx)
			return refusal.New("%s failed: %s", f.ref, s.Reason)
		case deleted:
			return refusal.New("%s was deleted by somebody before it had ended: whether its work is done is not known. "+
				"Look at what it changes, and deploy again", f.ref)
		}
		if why, pod := f.trouble.Trouble(f.own(), f.Now()); pod != nil {
			return f.kill(ctx, refusal.New("%s cannot start: %s%s", f.ref, why, f.trouble.Diagnose(ctx, pod)))
		}
		select {
		case <-f.changed:
		case <-ticker.C:
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if !refusal.Is(cause) {
				return fmt.Errorf("wait for %s: %w", f.ref, cause)
			}
			return f.kill(ctx, refusal.New("%s is not done (%s) and is stopped: %v", f.ref, s.Line, cause))
		}
	}
}

// look judges what is there, and follows the logs of pods that are new.
func (f *following) look() (standing, error) {
	if f.err != nil {
		return standing{}, f.err
	}
	for _, err := range []error{f.job.Err(), f.pods.Err()} {
		if err != nil {
			return standing{}, err
		}
	}
	pods := f.own()
	for _, pod := range pods {
		if endedWell(pod) {
			f.well[pod.UID] = true
		}
		f.logs.follow(pod)
	}
	if !f.synced.Load() {
		return standing{}, nil
	}
	v := view{UID: f.uid, Pods: pods, Well: len(f.well), Completions: f.completions}
	if items := f.job.Items(); len(items) > 0 {
		job, err := typed(items[0])
		if err != nil {
			return standing{}, err
		}
		v.Job = job
	}
	return judge(v), nil
}

// own are the Job's own pods, whatever else its selector means.
func (f *following) own() []*corev1.Pod {
	var own []*corev1.Pod
	for _, pod := range f.pods.Items() {
		if owner := metav1.GetControllerOf(pod); owner != nil && owner.UID == f.uid {
			own = append(own, pod)
		}
	}
	return own
}

// lastPods follows the logs of pods that the watch has not brought yet: the
// Job's own watch may be faster than theirs.
func (f *following) lastPods(ctx context.Context) {
	list, err := f.Cluster.List(ctx, corev1.SchemeGroupVersion.WithKind("Pod"), f.ref.Namespace, f.selector)
	if err != nil {
		return // What was heard of them so far must do.
	}
	for _, item := range list {
		var pod corev1.Pod
		if runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &pod) != nil {
			continue
		}
		if owner := metav1.GetControllerOf(&pod); owner != nil && owner.UID == f.uid {
			f.logs.follow(&pod)
		}
	}
}

// kill deletes the Job because of why, and waits a moment until its pods have
// stopped: what it does must not go on behind the deployment's back.
func (f *following) kill(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTime)
	defer cancel()
	f.Log.Line("job     stop %s   %s", f.ref, f.Method.DeleteCommand(f.ref, f.uid))
	if err := f.Method.Delete(ctx, f.ref, f.uid); err != nil {
		return refusal.New("%v\n%s could not be stopped: %v. Delete it by hand", why, f.ref, err)
	}
	ctx, cancel = context.WithTimeout(ctx, stopTime)
	defer cancel()
	for working(f.own()) {
		select {
		case <-f.changed:
		case <-ctx.Done():
			f.Log.Line("job     the pods of %s take their time to stop", f.ref)
			return why
		}
	}
	return why
}

// ended adds the last lines of the log to a refusal.
func (f *following) ended(err error) error {
	if tail := f.logs.tail(); refusal.Is(err) && tail != "" {
		return refusal.New("%v\nlast lines of its log:\n%s", err, indented(tail))
	}
	return err
}

func typed(object *unstructured.Unstructured) (*batchv1.Job, error) {
	var job batchv1.Job
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &job); err != nil {
		return nil, fmt.Errorf("read %s: %w", kube.RefOf(object), err)
	}
	return &job, nil
}
