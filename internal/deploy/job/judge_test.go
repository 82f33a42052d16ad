package job

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	condition := func(kind batchv1.JobConditionType, reason, message string) func(*view) {
		return func(v *view) {
			v.Job.Status.Conditions = append(v.Job.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message})
		}
	}
	deleting := func(v *view) { v.Job.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
	busy := func(v *view) {
		v.Pods = []*corev1.Pod{{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}}
	}
	yes := true
	cases := []struct {
		name    string
		changes []func(*view)
		want    standing
	}{
		{"a Job that runs", nil, standing{Line: "1 running, 0 of 2 done"}},
		{"one of whose pods has failed", []func(*view){func(v *view) { v.Job.Status.Failed = 1 }}, standing{Line: "1 running, 0 of 2 done, 1 failed"}},
		{"one that is complete", []func(*view){condition(batchv1.JobComplete, "CompletionsReached", "")}, standing{Fate: well, Line: "done"}},
		{"one that is complete and hangs in its deletion", []func(*view){condition(batchv1.JobComplete, "", ""), deleting}, standing{Fate: well, Line: "done"}},
		{"one that has what it needs", []func(*view){condition(batchv1.JobSuccessCriteriaMet, "", "")}, standing{Fate: well, Line: "done"}},
		{"one that has what it needs, but a pod of it still works", []func(*view){condition(batchv1.JobSuccessCriteriaMet, "", ""), busy}, standing{Line: "1 running, 0 of 2 done"}},
		{"one that has failed", []func(*view){condition(batchv1.JobFailed, "BackoffLimitExceeded", "Job has reached the specified backoff limit")},
			standing{Fate: failed, Line: "failed", Reason: "BackoffLimitExceeded: Job has reached the specified backoff limit"}},
		{"one that took too long", []func(*view){condition(batchv1.JobFailed, "DeadlineExceeded", "")}, standing{Fate: failed, Line: "failed", Reason: "DeadlineExceeded"}},
		{"one that will have failed once its pods stop", []func(*view){condition(batchv1.JobFailureTarget, "DeadlineExceeded", ""), busy}, standing{Line: "1 running, 0 of 2 done"}},
		{"a condition that does not hold", []func(*view){func(v *view) {
			v.Job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionFalse}}
		}}, standing{Line: "1 running, 0 of 2 done"}},
		{"one that is deleted in the middle", []func(*view){deleting}, standing{Fate: deleted, Line: "it is being deleted"}},
		{"one that is gone", []func(*view){func(v *view) { v.Job = nil }}, standing{Fate: deleted, Line: "it is gone"}},
		{"one that is gone after some of its work", []func(*view){func(v *view) { v.Job, v.Well = nil, 1 }}, standing{Fate: deleted, Line: "it is gone"}},
		{"one that is gone after all of its work", []func(*view){func(v *view) { v.Job, v.Well = nil, 2 }}, standing{Fate: well, Line: "its pods ended well, and it has been deleted since"}},
		{"another one of its name", []func(*view){condition(batchv1.JobComplete, "", ""), func(v *view) { v.Job.UID = "other" }}, standing{Fate: deleted, Line: "it is gone"}},
		{"one that somebody has suspended", []func(*view){func(v *view) { v.Job.Spec.Suspend = &yes }}, standing{Line: "suspended by somebody: it goes on when spec.suspend is false"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := view{Job: &batchv1.Job{ObjectMeta: metav1.ObjectMeta{UID: "j"}, Status: batchv1.JobStatus{Active: 1}}, UID: "j", Completions: 2}
			for _, change := range c.changes {
				change(&v)
			}
			if got := judge(v); got != c.want {
				t.Errorf("judged %+v, want %+v", got, c.want)
			}
		})
	}
}
