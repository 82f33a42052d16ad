// Package rollout says when a workload is done, or why it never will be: its
// pods, what its controllers say of it, and what the Services' endpoints hold.
// The judgement is pure; Waiter feeds it from watches.
package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/kube"
)

// rolloutView is what a Deployment's rollout is judged by.
type rolloutView struct {
	Deployment  *appsv1.Deployment   // nil when it is not there
	ReplicaSets []*appsv1.ReplicaSet // those that the selector names
	Pods        []*corev1.Pod        // likewise
	Services    []serviceView        // those that select the pods
	Generation  int64                // what the apply brought: anything older is not ours
	// Unschedulable is how long a pod may find no node.
	Unschedulable time.Duration
}

// serviceView is a Service and the endpoints that its slices hold.
type serviceView struct {
	Name      string
	Endpoints []kube.Endpoint
}

// standing is the judgement of a rollout at one moment.
type standing struct {
	Done     bool
	Line     string // for people: "2/3 new pods ready, 1 old"
	Missing  string // what is still awaited
	Troubles []kube.Trouble
	Unready  *corev1.Pod   // a new pod that is not ready, if there is one
	Stuck    []*corev1.Pod // old pods that keep the rollout from going on
	// Doubtful says that no readiness probe stands behind Done: a container
	// counts as ready as soon as it runs, also when it is about to crash.
	Doubtful bool
}

// judgeRollout is pure. A rollout is done when the controller has seen the
// generation, all replicas are of the ReplicaSet that has this very template
// and are available, no pod of another ReplicaSet is left, not even one that
// is terminating, and every Service that selects the pods holds exactly the
// new ones as ready.
func judgeRollout(v rolloutView) standing {
	d := v.Deployment
	switch {
	case d == nil:
		return standing{Missing: "the Deployment is not there"}
	case d.Generation < v.Generation || d.Status.ObservedGeneration < d.Generation:
		return standing{Line: "waiting for the Deployment's controller", Missing: "the controller has not seen the change"}
	case d.Spec.Paused:
		return standing{Line: "paused", Missing: "the Deployment is paused", Troubles: []kube.Trouble{{
			Reason: "paused", Message: "spec.paused is true, so that no pod will be replaced: set it to false"}}}
	}
	current := currentSet(d, v.ReplicaSets)
	if current == nil {
		return standing{Line: "waiting for the new ReplicaSet", Missing: "there is no ReplicaSet with this template", Troubles: conditionTroubles(d)}
	}
	fresh, old := split(d, current, v)
	ready := readyPods(fresh)
	want := 1
	if d.Spec.Replicas != nil {
		want = int(*d.Spec.Replicas)
	}
	s := standing{
		Line:     fmt.Sprintf("%d/%d new pods ready, %d old", len(ready), want, len(old)),
		Troubles: append(conditionTroubles(d), kube.PodTroubles(fresh, v.Unschedulable)...),
		Unready:  unready(fresh),
	}
	s.Doubtful = want > 0 && !probed(d.Spec.Template.Spec)
	s.Missing = missing(d, want, len(ready), len(old))
	if s.Missing == "" {
		// All pods are as they are to be, so the line says what is waited for.
		if s.Missing = servingMissing(v, ready); s.Missing != "" {
			s.Line += "; " + s.Missing
		}
	}
	s.Done = s.Missing == ""
	return s
}

// probed tells whether a readiness probe says when the pod can work.
func probed(pod corev1.PodSpec) bool {
	return slices.ContainsFunc(pod.Containers, func(c corev1.Container) bool { return c.ReadinessProbe != nil })
}

// currentSet is the ReplicaSet that has the Deployment's own template, the
// oldest one if there are several, as the Deployment controller chooses.
func currentSet(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	var found *appsv1.ReplicaSet
	for _, set := range sets {
		if !metav1.IsControlledBy(set, d) || !sameTemplate(&set.Spec.Template, &d.Spec.Template) {
			continue
		}
		if found == nil || set.CreationTimestamp.Before(&found.CreationTimestamp) {
			found = set
		}
	}
	return found
}

func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// split separates the pods of the current ReplicaSet that are to stay from
// those of the Deployment's other ReplicaSets that are to go. Pods that have
// ended for good count as neither, and nobody else's pods do.
func split(d *appsv1.Deployment, current *appsv1.ReplicaSet, v rolloutView) (fresh, old []*corev1.Pod) {
	for _, pod := range v.Pods {
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		switch {
		case metav1.IsControlledBy(pod, current):
			if pod.DeletionTimestamp == nil && !ended {
				fresh = append(fresh, pod)
			}
		case ownedByAny(pod, d, v.ReplicaSets) && (!ended || pod.DeletionTimestamp != nil):
			old = append(old, pod)
		}
	}
	return fresh, old
}

func ownedByAny(pod *corev1.Pod, d *appsv1.Deployment, sets []*appsv1.ReplicaSet) bool {
	return slices.ContainsFunc(sets, func(set *appsv1.ReplicaSet) bool {
		return metav1.IsControlledBy(set, d) && metav1.IsControlledBy(pod, set)
	})
}

func readyPods(pods []*corev1.Pod) map[string]bool {
	ready := map[string]bool{}
	for _, pod := range pods {
		if IsReady(pod) {
			ready[string(pod.UID)] = true
		}
	}
	return ready
}

// IsReady tells whether a pod says that it can serve.
func IsReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func unready(pods []*corev1.Pod) *corev1.Pod {
	for _, pod := range pods {
		if !IsReady(pod) {
			return pod
		}
	}
	return nil
}

func missing(d *appsv1.Deployment, want, ready, old int) string {
	status := d.Status
	switch {
	case int(status.UpdatedReplicas) != want || ready != want:
		return fmt.Sprintf("%d of %d new pods are ready", ready, want)
	case int(status.AvailableReplicas) != want:
		return fmt.Sprintf("%d of %d replicas are available", status.AvailableReplicas, want)
	case int(status.Replicas) != want || old > 0:
		if left := max(old, int(status.Replicas)-want); left != 1 {
			return fmt.Sprintf("%d old pods are still there", left)
		}
		return "1 old pod is still there"
	}
	return ""
}

// servingMissing tells what keeps the Services from sending their requests to
// the new pods and to nothing else. Endpoints of other workloads behind the
// same Service are none of our business; one whose pod has gone is known by
// the name of the ReplicaSet that it begins with.
func servingMissing(v rolloutView, ready map[string]bool) string {
	for _, service := range v.Services {
		serving := 0
		for _, e := range service.Endpoints {
			switch {
			case ready[e.UID] && e.Ready:
				serving++
			case e.Reachable && !ready[e.UID] && isOurPod(e.Pod, v):
				return fmt.Sprintf("Service %s still has the old pod %s as an endpoint", service.Name, e.Pod)
			}
		}
		if serving < len(ready) {
			return fmt.Sprintf("Service %s has %d of %d new pods as ready endpoints", service.Name, serving, len(ready))
		}
	}
	return ""
}

func isOurPod(name string, v rolloutView) bool {
	return slices.ContainsFunc(v.ReplicaSets, func(set *appsv1.ReplicaSet) bool {
		return metav1.IsControlledBy(set, v.Deployment) && strings.HasPrefix(name, set.Name+"-")
	})
}
