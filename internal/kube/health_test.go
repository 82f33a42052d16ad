package kube

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestHealthOf(t *testing.T) {
	t.Parallel()
	route := func(parents string) string {
		return `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {generation: 3}, spec: {parentRefs: [{name: edge}]}, status: {parents: ` + parents + `}}`
	}
	const good = `{parentRef: {name: edge}, conditions: [{type: Accepted, status: "True", observedGeneration: 3}, {type: ResolvedRefs, status: "True", observedGeneration: 3}]}`
	cases := []struct {
		name, object string
		want         Status
		message      string
	}{
		{"a fresh Deployment is in progress", `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 2}}`, InProgress, "its controller has not seen it"},
		{"a Deployment whose controller lags is in progress", `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 2}, spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1}}`, InProgress, "its controller has not seen generation 2"},
		{"a Deployment with old replicas is in progress", `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 2, updatedReplicas: 1, availableReplicas: 2}}`, InProgress, "1 old replicas are still there"},
		{"a Deployment whose replicas are not available is in progress", `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 1}}`, InProgress, "1 of 2 replicas are available"},
		{"a whole Deployment is current", `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 2}}`, Current, "2 of 2 replicas are available"},
		{"a Deployment of no replicas is current", `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 0}, status: {observedGeneration: 1}}`, Current, "0 of 0 replicas are available"},
		{"a Deployment past its progress deadline has failed", `{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: too slow}]}}`, Failed, "ProgressDeadlineExceeded: too slow"},
		{"a ReplicaSet that may not create pods has failed", `{apiVersion: apps/v1, kind: ReplicaSet, spec: {replicas: 1}, status: {observedGeneration: 0, conditions: [{type: ReplicaFailure, status: "True", reason: FailedCreate, message: exceeded quota}]}}`, Failed, "FailedCreate: exceeded quota"},
		{"a ReplicaSet with too many replicas is in progress", `{apiVersion: apps/v1, kind: ReplicaSet, spec: {replicas: 1}, status: {observedGeneration: 0, replicas: 2, availableReplicas: 2}}`, InProgress, "2 of 1 replicas are available"},
		{"a StatefulSet whose last pod is old is in progress", `{apiVersion: apps/v1, kind: StatefulSet, metadata: {generation: 2}, spec: {replicas: 3}, status: {observedGeneration: 2, replicas: 3, updatedReplicas: 2, readyReplicas: 3, currentRevision: a, updateRevision: b}}`, InProgress, "2 of 3 replicas are updated"},
		{"a StatefulSet with a partition is current when the rest is updated", `{apiVersion: apps/v1, kind: StatefulSet, metadata: {generation: 2}, spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 2}}}, status: {observedGeneration: 2, replicas: 3, updatedReplicas: 1, readyReplicas: 3, currentRevision: a, updateRevision: b}}`, Current, "3 of 3 replicas are ready"},
		{"a StatefulSet that is updated by hand is current", `{apiVersion: apps/v1, kind: StatefulSet, spec: {updateStrategy: {type: OnDelete}}}`, Current, "its update strategy is OnDelete"},
		{"a whole StatefulSet is current", `{apiVersion: apps/v1, kind: StatefulSet, metadata: {generation: 2}, spec: {replicas: 1}, status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1, currentRevision: b, updateRevision: b}}`, Current, "1 of 1 replicas are ready"},
		{"a DaemonSet with an old pod is in progress", `{apiVersion: apps/v1, kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 1, numberAvailable: 2}}`, InProgress, "1 of 2 pods are updated"},
		{"a whole DaemonSet is current", `{apiVersion: apps/v1, kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 2}}`, Current, "2 of 2 pods are available"},
		{"a Job that runs is in progress", `{apiVersion: batch/v1, kind: Job, status: {active: 1}}`, InProgress, "1 running, 0 done"},
		{"a Job that is complete is current", `{apiVersion: batch/v1, kind: Job, status: {succeeded: 1, conditions: [{type: Complete, status: "True"}]}}`, Current, "it is complete"},
		{"a Job beyond its limit has failed", `{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, message: too often}]}}`, Failed, "BackoffLimitExceeded: too often"},
		{"a suspended Job is current", `{apiVersion: batch/v1, kind: Job, spec: {suspend: true}}`, Current, "it is suspended"},
		{"a ready Pod is current", `{apiVersion: v1, kind: Pod, status: {phase: Running, conditions: [{type: Ready, status: "True"}]}}`, Current, "it is ready"},
		{"a Pod that has failed has failed", `{apiVersion: v1, kind: Pod, status: {phase: Failed, message: evicted}}`, Failed, "it has failed: evicted"},
		{"a Service is current", `{apiVersion: v1, kind: Service, spec: {type: ClusterIP}}`, Current, "it is there"},
		{"a load balancer without an address is in progress", `{apiVersion: v1, kind: Service, spec: {type: LoadBalancer}}`, InProgress, "its load balancer has no address"},
		{"a load balancer with an address is current", `{apiVersion: v1, kind: Service, spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 10.0.0.1}]}}}`, Current, "its load balancer has an address"},
		{"a bound claim is current", `{apiVersion: v1, kind: PersistentVolumeClaim, status: {phase: Bound}}`, Current, "it is bound"},
		{"a pending claim is in progress", `{apiVersion: v1, kind: PersistentVolumeClaim, status: {phase: Pending}}`, InProgress, "it is not bound to a volume"},
		{"a lost claim has failed", `{apiVersion: v1, kind: PersistentVolumeClaim, status: {phase: Lost}}`, Failed, "its volume is lost"},
		{"an established definition is current", `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, status: {conditions: [{type: Established, status: "True"}]}}`, Current, "it is established"},
		{"a definition whose names are taken has failed", `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, status: {conditions: [{type: NamesAccepted, status: "False", reason: ListKindConflict, message: taken}]}}`, Failed, "ListKindConflict: taken"},
		{"a custom resource that is stalled has failed", `{apiVersion: example.com/v1, kind: Widget, status: {conditions: [{type: Stalled, status: "True", message: no more}]}}`, Failed, "no more"},
		{"a custom resource that is reconciling is in progress", `{apiVersion: example.com/v1, kind: Widget, status: {conditions: [{type: Reconciling, status: "True", reason: Working}, {type: Ready, status: "True"}]}}`, InProgress, "Working: "},
		{"a custom resource that is not ready is in progress", `{apiVersion: example.com/v1, kind: Widget, status: {conditions: [{type: Ready, status: "False", reason: Waiting, message: for it}]}}`, InProgress, "Waiting: for it"},
		{"a custom resource without a status is current", `{apiVersion: example.com/v1, kind: Widget}`, Current, "it is there"},
		{"a custom resource whose controller lags is in progress", `{apiVersion: example.com/v1, kind: Widget, metadata: {generation: 3}, status: {observedGeneration: 2}}`, InProgress, "its controller has not seen generation 3"},
		{"a route without gateways is current", `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {generation: 1}, spec: {}}`, Current, "it is attached to no gateway"},
		{"a route that no gateway has seen is in progress", route(`[]`), InProgress, "no gateway has seen it"},
		{"a route that a gateway has seen as it was before is in progress", route(`[{parentRef: {name: edge}, conditions: [{type: Accepted, status: "True", observedGeneration: 2}, {type: ResolvedRefs, status: "True", observedGeneration: 2}]}]`), InProgress, "gateway edge has not said Accepted of generation 3"},
		{"a route that is accepted but not resolved yet is in progress", route(`[{parentRef: {name: edge}, conditions: [{type: Accepted, status: "True", observedGeneration: 3}]}]`), InProgress, "gateway edge has not said ResolvedRefs of generation 3"},
		{"a route whose backend is not there names the condition and does not fail", route(`[{parentRef: {name: edge}, conditions: [{type: Accepted, status: "True", observedGeneration: 3}, {type: ResolvedRefs, status: "False", reason: BackendNotFound, message: no Service web, observedGeneration: 3}]}]`), InProgress, "gateway edge says ResolvedRefs False: BackendNotFound: no Service web"},
		{"a route that one of two gateways refuses is in progress", route(`[` + good + `, {parentRef: {name: inner}, conditions: [{type: Accepted, status: "False", reason: NotAllowedByListeners, observedGeneration: 3}]}]`), InProgress, "gateway inner says Accepted False: NotAllowedByListeners: "},
		{"a route that all gateways have taken is current", route(`[` + good + `]`), Current, "every gateway has accepted it and found its backends"},
		{"a route with a status of odd types is in progress", route(`[1, {conditions: [x]}]`), InProgress, "gateway  has not said Accepted of generation 3"},
		{"an object that is being deleted is terminating", `{apiVersion: v1, kind: ConfigMap, metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}}`, Terminating, "it is being deleted"},
		{"odd types do not stop the judgement", `{apiVersion: apps/v1, kind: Deployment, spec: {replicas: many}, status: {observedGeneration: x, conditions: [1, {type: 2}]}}`, InProgress, "its controller has not seen it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := HealthOf(object(t, c.object))
			if got.Status != c.want || got.Message != c.message {
				t.Errorf("HealthOf = %+v, want %s %q", got, c.want, c.message)
			}
		})
	}
	if got := HealthOf(nil); got.Status != NotFound {
		t.Errorf("HealthOf(nil) = %+v, want %s", got, NotFound)
	}
}

func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(body); err != nil {
		t.Fatal(err)
	}
	return o
}

// FuzzHealthOf: whatever a controller writes into a status, the judgement is
// one of the statuses and not a panic.
func FuzzHealthOf(f *testing.F) {
	for _, kind := range []string{"apps/v1 Deployment", "apps/v1 StatefulSet", "batch/v1 Job", "v1 Service", "example.com/v1 Widget"} {
		f.Add(kind, []byte(`{"metadata":{"generation":2},"spec":{"replicas":1},"status":{"observedGeneration":1,"conditions":[{"type":"Ready","status":"False"}]}}`))
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		var fields map[string]any
		if yaml.Unmarshal(body, &fields) != nil || fields == nil {
			return
		}
		o := &unstructured.Unstructured{Object: fields}
		for gk := range judges {
			fields["apiVersion"], fields["kind"] = gk.Group+"/v1", gk.Kind
			switch HealthOf(o).Status {
			case InProgress, Current, Failed, Terminating:
			default:
				t.Errorf("HealthOf(%s %s) = %+v", kind, body, HealthOf(o))
			}
		}
	})
}
