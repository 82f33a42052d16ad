package kube

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// observed tells that a workload's controller has looked at it at all: a fresh
// object has no status, and its zeros would look like success.
func observed(obj *unstructured.Unstructured) bool {
	_, found, err := unstructured.NestedInt64(obj.Object, "status", "observedGeneration")
	return err == nil && found
}

func deployment(obj *unstructured.Unstructured) Health {
	if c, ok := find(obj, "Progressing"); ok && c.reason == "ProgressDeadlineExceeded" {
		return broken("%s", c)
	}
	if !observed(obj) {
		return busy("its controller has not seen it")
	}
	want := number(obj, 1, "spec", "replicas")
	updated := number(obj, 0, "status", "updatedReplicas")
	all := number(obj, 0, "status", "replicas")
	available := number(obj, 0, "status", "availableReplicas")
	switch {
	case updated < want:
		return busy("%d of %d replicas are updated", updated, want)
	case all > updated:
		return busy("%d old replicas are still there", all-updated)
	case available < updated:
		return busy("%d of %d replicas are available", available, updated)
	}
	return healthy("%d of %d replicas are available", available, want)
}

func replicaSet(obj *unstructured.Unstructured) Health {
	if c, ok := holds(obj, "ReplicaFailure"); ok {
		return broken("%s", c)
	}
	if !observed(obj) {
		return busy("its controller has not seen it")
	}
	want, available := number(obj, 1, "spec", "replicas"), number(obj, 0, "status", "availableReplicas")
	if available < want || number(obj, 0, "status", "replicas") > want {
		return busy("%d of %d replicas are available", available, want)
	}
	return healthy("%d of %d replicas are available", available, want)
}

func statefulSet(obj *unstructured.Unstructured) Health {
	if text(obj, "spec", "updateStrategy", "type") == "OnDelete" {
		return healthy("its update strategy is OnDelete")
	}
	if !observed(obj) {
		return busy("its controller has not seen it")
	}
	want := number(obj, 1, "spec", "replicas")
	// Pods below the partition keep the old revision on purpose.
	partition := number(obj, 0, "spec", "updateStrategy", "rollingUpdate", "partition")
	updated, ready := number(obj, 0, "status", "updatedReplicas"), number(obj, 0, "status", "readyReplicas")
	switch {
	case number(obj, 0, "status", "replicas") < want:
		return busy("%d of %d replicas exist", number(obj, 0, "status", "replicas"), want)
	case updated < want-partition:
		return busy("%d of %d replicas are updated", updated, want-partition)
	case ready < want:
		return busy("%d of %d replicas are ready", ready, want)
	case number(obj, 0, "status", "replicas") > want:
		return busy("%d replicas are to go", number(obj, 0, "status", "replicas")-want)
	case partition == 0 && want > 0 && text(obj, "status", "currentRevision") != text(obj, "status", "updateRevision"):
		return busy("the last replica is being replaced")
	}
	return healthy("%d of %d replicas are ready", ready, want)
}

func daemonSet(obj *unstructured.Unstructured) Health {
	if text(obj, "spec", "updateStrategy", "type") == "OnDelete" {
		return healthy("its update strategy is OnDelete")
	}
	if !observed(obj) {
		return busy("its controller has not seen it")
	}
	want := number(obj, 0, "status", "desiredNumberScheduled")
	updated, available := number(obj, 0, "status", "updatedNumberScheduled"), number(obj, 0, "status", "numberAvailable")
	switch {
	case updated < want:
		return busy("%d of %d pods are updated", updated, want)
	case available < want:
		return busy("%d of %d pods are available", available, want)
	}
	return healthy("%d of %d pods are available", available, want)
}

func job(obj *unstructured.Unstructured) Health {
	for _, kind := range []string{"Failed", "FailureTarget"} {
		if c, ok := holds(obj, kind); ok {
			return broken("%s", c)
		}
	}
	if _, ok := holds(obj, "Complete"); ok {
		return healthy("it is complete")
	}
	if suspended, _, err := unstructured.NestedBool(obj.Object, "spec", "suspend"); err == nil && suspended {
		return healthy("it is suspended")
	}
	return busy("%d running, %d done", number(obj, 0, "status", "active"), number(obj, 0, "status", "succeeded"))
}

func pod(obj *unstructured.Unstructured) Health {
	switch phase := text(obj, "status", "phase"); corev1.PodPhase(phase) {
	case corev1.PodSucceeded:
		return healthy("it has ended well")
	case corev1.PodFailed:
		return broken("it has failed: %s", text(obj, "status", "message"))
	}
	if _, ok := holds(obj, string(corev1.PodReady)); ok {
		return healthy("it is ready")
	}
	return busy("it is not ready")
}

func service(obj *unstructured.Unstructured) Health {
	if text(obj, "spec", "type") != string(corev1.ServiceTypeLoadBalancer) {
		return healthy("it is there")
	}
	ingress, _, err := unstructured.NestedSlice(obj.Object, "status", "loadBalancer", "ingress")
	if err != nil || len(ingress) == 0 {
		return busy("its load balancer has no address")
	}
	return healthy("its load balancer has an address")
}

func claim(obj *unstructured.Unstructured) Health {
	switch phase := text(obj, "status", "phase"); corev1.PersistentVolumeClaimPhase(phase) {
	case corev1.ClaimBound:
		return healthy("it is bound")
	case corev1.ClaimLost:
		return broken("its volume is lost")
	}
	return busy("it is not bound to a volume")
}

func definition(obj *unstructured.Unstructured) Health {
	if c, ok := find(obj, "NamesAccepted"); ok && c.status == string(corev1.ConditionFalse) {
		return broken("%s", c)
	}
	if c, ok := holds(obj, "Established"); !ok {
		return busy("it is not established %s", c)
	}
	return healthy("it is established")
}
