package kube

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Status is the state of an object in kstatus' vocabulary.
type Status string

// The statuses.
const (
	InProgress  Status = "InProgress"  // on its way to what its spec says
	Current     Status = "Current"     // as its spec says
	Failed      Status = "Failed"      // will not get there by itself
	Terminating Status = "Terminating" // being deleted
	NotFound    Status = "NotFound"    // not there
)

// Health is the judgement of one object.
type Health struct {
	Status  Status
	Message string // a short reason for people, such as "2 of 3 replicas are ready"
}

func healthy(format string, args ...any) Health { return Health{Current, fmt.Sprintf(format, args...)} }
func busy(format string, args ...any) Health    { return Health{InProgress, fmt.Sprintf(format, args...)} }
func broken(format string, args ...any) Health  { return Health{Failed, fmt.Sprintf(format, args...)} }

// HealthOf judges an object by what it says of itself. A nil object is
// NotFound. An object of a kind without conditions is Current as soon as it is
// there.
func HealthOf(obj *unstructured.Unstructured) Health {
	if obj == nil {
		return Health{Status: NotFound, Message: "it is not there"}
	}
	if obj.GetDeletionTimestamp() != nil {
		return Health{Status: Terminating, Message: "it is being deleted"}
	}
	if generation, ok := Lags(obj); ok {
		return busy("its controller has not seen generation %d", generation)
	}
	if judge := judges[obj.GroupVersionKind().GroupKind()]; judge != nil {
		return judge(obj)
	}
	return generic(obj)
}

// judges are the kinds whose health is more than their conditions.
var judges = map[schema.GroupKind]func(*unstructured.Unstructured) Health{
	{Group: "apps", Kind: "Deployment"}:                               deployment,
	{Group: "apps", Kind: "ReplicaSet"}:                               replicaSet,
	{Group: "apps", Kind: "StatefulSet"}:                              statefulSet,
	{Group: "apps", Kind: "DaemonSet"}:                                daemonSet,
	{Group: "batch", Kind: "Job"}:                                     job,
	{Group: "batch", Kind: "CronJob"}:                                 present,
	{Group: "", Kind: "Pod"}:                                          pod,
	{Group: "", Kind: "Service"}:                                      service,
	{Group: "", Kind: "PersistentVolumeClaim"}:                        claim,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: definition,
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}:           present,
	{Group: "policy", Kind: "PodDisruptionBudget"}:                    present,
	{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"}:           httpRoute,
}

func present(*unstructured.Unstructured) Health { return healthy("it is there") }

// Lags tells that an object's controller has not yet seen the generation that
// is there: what its status says is of an earlier one.
func Lags(obj *unstructured.Unstructured) (generation int64, lags bool) {
	observed, found, err := unstructured.NestedInt64(obj.Object, "status", "observedGeneration")
	return obj.GetGeneration(), err == nil && found && observed < obj.GetGeneration()
}

func number(obj *unstructured.Unstructured, missing int64, path ...string) int64 {
	n, found, err := unstructured.NestedInt64(obj.Object, path...)
	if err != nil || !found {
		return missing
	}
	return n
}

func text(obj *unstructured.Unstructured, path ...string) string {
	s, _, err := unstructured.NestedString(obj.Object, path...)
	if err != nil {
		return ""
	}
	return s
}

// condition is one entry of status.conditions.
type condition struct {
	kind, status, reason, message string
	generation                    int64 // that it was observed at, 0 when it does not say
}

func (c condition) String() string { return strings.TrimPrefix(c.reason+": "+c.message, ": ") }

func conditions(obj *unstructured.Unstructured) []condition {
	list, _, err := unstructured.NestedSlice(obj.Object, "status", "conditions")
	if err != nil {
		return nil
	}
	return conditionsOf(list)
}

func conditionsOf(list []any) []condition {
	var all []condition
	for _, item := range list {
		fields, ok := item.(map[string]any)
		if !ok {
			continue
		}
		field := func(name string) string { s, _ := fields[name].(string); return s }
		generation, _ := fields["observedGeneration"].(int64)
		all = append(all, condition{field("type"), field("status"), field("reason"), field("message"), generation})
	}
	return all
}

func find(obj *unstructured.Unstructured, kind string) (condition, bool) {
	for _, c := range conditions(obj) {
		if c.kind == kind {
			return c, true
		}
	}
	return condition{}, false
}

func holds(obj *unstructured.Unstructured, kind string) (condition, bool) {
	c, ok := find(obj, kind)
	return c, ok && c.status == string(corev1.ConditionTrue)
}

// generic follows the conventions that most controllers keep: Stalled and
// Failed are final, Ready and Available speak for themselves, Reconciling and
// Progressing mean that something goes on.
func generic(obj *unstructured.Unstructured) Health {
	for _, kind := range []string{"Stalled", "Failed"} {
		if c, ok := holds(obj, kind); ok {
			return broken("%s", c)
		}
	}
	if c, ok := holds(obj, "Reconciling"); ok {
		return busy("%s", c)
	}
	for _, kind := range []string{"Ready", "Available"} {
		if c, ok := find(obj, kind); ok && c.status != string(corev1.ConditionTrue) {
			return busy("%s", c)
		}
	}
	return healthy("it is there")
}
