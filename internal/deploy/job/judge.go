package job

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// view is what a Job is judged by.
type view struct {
	Job  *batchv1.Job // nil when none of that name is there
	UID  types.UID    // of the Job that is meant
	Pods []*corev1.Pod
	// Well is how many different pods have been seen to end well, also those
	// that are gone.
	Well int
	// Completions is how many of them were wanted when the Job was made.
	Completions int
}

// fate is how a Job stands.
type fate int

const (
	running fate = iota
	well
	failed
	deleted // before its end, by somebody else
)

// standing is the judgement of a Job at one moment.
type standing struct {
	Fate   fate
	Line   string // for people: "1 running, 0 of 1 done"
	Reason string // of a failure: "BackoffLimitExceeded: Job has reached the specified backoff limit"
}

// judge is pure. What the Job's conditions say of its end holds, whatever else
// hangs: a finalizer keeps the object and not the work. The conditions that
// only announce the end count once none of its containers runs any more.
func judge(v view) standing {
	if v.Job == nil || v.Job.UID != v.UID {
		if v.Well >= v.Completions {
			return standing{Fate: well, Line: "its pods ended well, and it has been deleted since"}
		}
		return standing{Fate: deleted, Line: "it is gone"}
	}
	if s, ok := concluded(v.Job, !working(v.Pods)); ok {
		return s
	}
	if v.Job.DeletionTimestamp != nil {
		return standing{Fate: deleted, Line: "it is being deleted"}
	}
	line := fmt.Sprintf("%d running, %d of %d done", v.Job.Status.Active, v.Job.Status.Succeeded, v.Completions)
	if v.Job.Status.Failed > 0 {
		line += fmt.Sprintf(", %d failed", v.Job.Status.Failed)
	}
	if v.Job.Spec.Suspend != nil && *v.Job.Spec.Suspend {
		line = "suspended by somebody: it goes on when spec.suspend is false"
	}
	return standing{Line: line}
}

// concluded is what the conditions say of the end, if they do.
func concluded(job *batchv1.Job, quiet bool) (standing, bool) {
	for _, c := range job.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch {
		case c.Type == batchv1.JobComplete, c.Type == batchv1.JobSuccessCriteriaMet && quiet:
			return standing{Fate: well, Line: "done"}, true
		case c.Type == batchv1.JobFailed, c.Type == batchv1.JobFailureTarget && quiet:
			return standing{Fate: failed, Line: "failed", Reason: reason(c)}, true
		}
	}
	return standing{}, false
}

func reason(c batchv1.JobCondition) string {
	if c.Message == "" {
		return c.Reason
	}
	return c.Reason + ": " + c.Message
}

// working tells whether a container of the pods may still run.
func working(pods []*corev1.Pod) bool {
	for _, pod := range pods {
		for _, status := range pod.Status.ContainerStatuses {
			if status.State.Running != nil {
				return true
			}
		}
	}
	return false
}

// endedWell tells whether a pod has done its work.
func endedWell(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodSucceeded }

// over tells whether a pod will not run again.
func over(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
