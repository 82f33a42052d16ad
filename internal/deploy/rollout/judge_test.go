package rollout

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/kube"
)

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}}}
}

// rolled is a Deployment of two replicas whose rollout to image 2 is whole.
func rolled() rolloutView {
	two := int32(2)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "d", Generation: 4},
		Spec:       appsv1.DeploymentSpec{Replicas: &two, Template: template("2")},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 4, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2},
	}
	return rolloutView{
		Deployment:  d,
		ReplicaSets: []*appsv1.ReplicaSet{set("web-old", "1", d), set("web-new", "2", d)},
		Pods:        []*corev1.Pod{newPod("web-new-a", "web-new", true), newPod("web-new-b", "web-new", true)},
		Services:    []serviceView{{Name: "web", Endpoints: []kube.Endpoint{endpoint("web-new-a", true), endpoint("web-new-b", true)}}},
		Generation:  4,
	}
}

func set(name, image string, owner *appsv1.Deployment) *appsv1.ReplicaSet {
	controller := true
	s := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: []metav1.OwnerReference{{UID: owner.UID, Controller: &controller}}}}
	s.Spec.Template = template(image)
	s.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = name
	return s
}

func newPod(name, owner string, ready bool) *corev1.Pod {
	controller := true
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: []metav1.OwnerReference{{UID: types.UID(owner), Controller: &controller}}}}
	pod.Status.Phase = corev1.PodRunning
	if ready {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return pod
}

func endpoint(pod string, ready bool) kube.Endpoint {
	return kube.Endpoint{Pod: pod, UID: pod, Ready: ready, Reachable: ready}
}

func TestJudgeRollout(t *testing.T) {
	t.Parallel()
	terminating := newPod("web-old-x", "web-old", false)
	terminating.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	evicted := newPod("web-old-y", "web-old", false)
	evicted.Status.Phase = corev1.PodFailed
	cases := []struct {
		name    string
		change  func(*rolloutView)
		missing string
		line    string
	}{
		{"a whole rollout is done", func(*rolloutView) {}, "", "2/2 new pods ready, 0 old"},
		{"a Deployment that is not there", func(v *rolloutView) { v.Deployment = nil }, "the Deployment is not there", ""},
		{"a Deployment as it was before the apply", func(v *rolloutView) { v.Generation = 5 }, "the controller has not seen the change", "waiting for the Deployment's controller"},
		{"a controller that lags", func(v *rolloutView) { v.Deployment.Generation = 5 }, "the controller has not seen the change", "waiting for the Deployment's controller"},
		{"no ReplicaSet of this template", func(v *rolloutView) { v.Deployment.Spec.Template = template("3") }, "there is no ReplicaSet with this template", "waiting for the new ReplicaSet"},
		{"a ReplicaSet of this template that another Deployment owns", func(v *rolloutView) { v.ReplicaSets[1].OwnerReferences[0].UID = "other" }, "there is no ReplicaSet with this template", "waiting for the new ReplicaSet"},
		{"a new pod that is not ready", func(v *rolloutView) { v.Pods[1] = newPod("web-new-b", "web-new", false) }, "1 of 2 new pods are ready", "1/2 new pods ready, 0 old"},
		{"a new pod that is not available for long enough", func(v *rolloutView) { v.Deployment.Status.AvailableReplicas = 1 }, "1 of 2 replicas are available", "2/2 new pods ready, 0 old"},
		{"an old pod that still runs", func(v *rolloutView) { v.Pods = append(v.Pods, newPod("web-old-x", "web-old", true)) }, "1 old pod is still there", "2/2 new pods ready, 1 old"},
		{"an old pod that is terminating", func(v *rolloutView) { v.Pods = append(v.Pods, terminating) }, "1 old pod is still there", "2/2 new pods ready, 1 old"},
		{"an old pod that was evicted long ago does not count", func(v *rolloutView) { v.Pods = append(v.Pods, evicted) }, "", "2/2 new pods ready, 0 old"},
		{"a pod of another workload does not count", func(v *rolloutView) { v.Pods = append(v.Pods, newPod("db-0", "db", true)) }, "", "2/2 new pods ready, 0 old"},
		{"a Service that does not know a new pod", func(v *rolloutView) { v.Services[0].Endpoints = v.Services[0].Endpoints[:1] }, "Service web has 1 of 2 new pods as ready endpoints", "2/2 new pods ready, 0 old; Service web has 1 of 2 new pods as ready endpoints"},
		{"a Service that holds a new pod as not ready", func(v *rolloutView) { v.Services[0].Endpoints[1].Ready = false }, "Service web has 1 of 2 new pods as ready endpoints", "2/2 new pods ready, 0 old; Service web has 1 of 2 new pods as ready endpoints"},
		{"a Service that still sends to a pod that is gone", func(v *rolloutView) {
			v.Services[0].Endpoints = append(v.Services[0].Endpoints, endpoint("web-old-x", true))
		}, "Service web still has the old pod web-old-x as an endpoint", "2/2 new pods ready, 0 old; Service web still has the old pod web-old-x as an endpoint"},
		{"a Service that sends to a pod that is gone by one of two address families", func(v *rolloutView) {
			half := endpoint("web-old-x", false)
			half.Reachable = true
			v.Services[0].Endpoints = append(v.Services[0].Endpoints, half)
		}, "Service web still has the old pod web-old-x as an endpoint", "2/2 new pods ready, 0 old; Service web still has the old pod web-old-x as an endpoint"},
		{"a Service that also sends to another workload is fine", func(v *rolloutView) {
			v.Services[0].Endpoints = append(v.Services[0].Endpoints, endpoint("canary-1", true))
		}, "", "2/2 new pods ready, 0 old"},
		{"an endpoint that is no longer ready is fine", func(v *rolloutView) {
			v.Services[0].Endpoints = append(v.Services[0].Endpoints, endpoint("web-old-x", false))
		}, "", "2/2 new pods ready, 0 old"},
		{"no replicas and nothing left", func(v *rolloutView) {
			zero := int32(0)
			v.Deployment.Spec.Replicas, v.Deployment.Status = &zero, appsv1.DeploymentStatus{ObservedGeneration: 4}
			v.Pods, v.Services[0].Endpoints = nil, nil
		}, "", "0/0 new pods ready, 0 old"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := rolled()
			c.change(&v)
			got := judgeRollout(v)
			if got.Missing != c.missing || got.Line != c.line || got.Done != (c.missing == "") {
				t.Errorf("done %t, missing %q, line %q; want missing %q, line %q", got.Done, got.Missing, got.Line, c.missing, c.line)
			}
		})
	}
}

func TestConditionTroubles(t *testing.T) {
	t.Parallel()
	d := &appsv1.Deployment{Status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionFalse, Reason: "MinimumReplicasUnavailable"},
		{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: `pods "web" is forbidden: exceeded quota`},
	}}}
	got := conditionTroubles(d)
	if len(got) != 1 || got[0].String() != `FailedCreate: pods "web" is forbidden: exceeded quota` || got[0].Grace != kube.SettleTime {
		t.Errorf("troubles %+v, want the quota, soon", got)
	}
	for _, hiccup := range []string{
		"Timeout: request did not complete within requested timeout - context deadline exceeded",
		"Post \"https://10.0.0.1\": dial tcp: connect: connection refused", "etcdserver: leader changed",
	} {
		d.Status.Conditions[1].Message = hiccup
		if got := conditionTroubles(d); len(got) != 1 || got[0].Grace != hiccupTime {
			t.Errorf("troubles %+v, want %q to pass by itself", got, hiccup)
		}
	}
}
