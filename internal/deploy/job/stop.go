package job

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
)

// The time that the pods of a Job which is stopped get, beside their own grace
// period.
const (
	goneTime     = 30 * time.Second
	defaultGrace = 30 * time.Second // what Kubernetes gives a pod that asks for nothing
)

// Stop deletes the Jobs of one sequence of an application that have not ended,
// and returns once none of their pods runs any more: what a deployment has
// begun and nobody carries on must not work beside the next one. A refusal says
// that a Job cannot be stopped, or which pod does not go within its grace
// period and half a minute.
func Stop(ctx context.Context, config Config, namespace, app string, sequence int64) error {
	selector := fmt.Sprintf("%s=%s,%s=%s,%s", manifest.AppLabel, app, manifest.SequenceLabel, strconv.FormatInt(sequence, 10), RunLabel)
	jobs, err := config.Cluster.List(ctx, batchv1.SchemeGroupVersion.WithKind("Job"), namespace, selector)
	if err != nil {
		return refusal.Or(err, "look for the Jobs of revision %d: %v", sequence, err)
	}
	var stopped []*following
	grace := map[types.UID]time.Duration{}
	defer func() {
		for _, f := range stopped {
			f.stop()
			f.logs.close(0)
		}
	}()
	for i := range jobs {
		job, err := typed(&jobs[i])
		if err != nil {
			return err
		}
		if _, ended := concluded(job, false); ended {
			continue
		}
		f := newFollowing(ctx, config, &jobs[i])
		stopped, grace[f.uid] = append(stopped, f), graceOf(job.Spec.Template.Spec)
		if _, ending := concluded(job, true); ending {
			continue // Its controller has judged it, and says so once its pods have ended.
		}
		config.Log.Line("job     stop %s, which revision %d has left behind   %s", f.ref, sequence, config.Method.DeleteCommand(f.ref, f.uid))
		if err := config.Method.Delete(ctx, f.ref, f.uid); err != nil {
			return refusal.Or(err, "%s of revision %d still runs and cannot be stopped: %v. Delete it by hand, and deploy again", f.ref, sequence, err)
		}
	}
	for _, f := range stopped {
		if err := f.untilQuiet(ctx, grace[f.uid]+goneTime); err != nil {
			return err
		}
	}
	return nil
}

// untilQuiet returns when no pod of the Job runs, or may come to run.
func (f *following) untilQuiet(ctx context.Context, atMost time.Duration) error {
	limit := time.NewTimer(atMost)
	defer limit.Stop()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		if err := f.pods.Err(); err != nil {
			return refusal.Or(err, "wait for the pods of %s to stop: %v", f.ref, err)
		}
		own := f.own()
		at := slices.IndexFunc(own, func(pod *corev1.Pod) bool { return !over(pod) })
		if at < 0 && f.pods.Synced() {
			return nil
		}
		select {
		case <-f.changed:
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the pods of %s to stop: %w", f.ref, context.Cause(ctx))
		case <-limit.C:
			name := "one of them"
			if at >= 0 {
				name = "pod " + own[at].Name
			}
			return refusal.New("%s is stopped, but %s still runs after %s: look at its node, and at what it changes, and deploy again", f.ref, name, atMost)
		}
	}
}

// graceOf is how long a pod may take to end.
func graceOf(spec corev1.PodSpec) time.Duration {
	if spec.TerminationGracePeriodSeconds == nil {
		return defaultGrace
	}
	return time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
}
