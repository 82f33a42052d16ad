package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/waittest"
)

// A workload without a readiness probe is done once its pods have run for a
// while. Before they are known there is nothing to doubt.
func TestAWorkloadIsNotDoneBeforeItsPodsAreKnown(t *testing.T) {
	t.Parallel()
	cluster := kubetest.Connect(t)
	var set unstructured.Unstructured
	err := yaml.Unmarshal([]byte(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: `+kubetest.Namespace(t, cluster)+`}
spec:
  replicas: 0
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: example.com/db}]}}
`), &set.Object)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := cluster.Apply(t.Context(), &set, kube.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ref := kube.RefOf(applied)
	log := runbook.New(&waittest.Log{}, nil)
	known := Waiter{Cluster: cluster, Log: log}
	if err := known.Wait(t.Context(), ref, applied.GetGeneration()); err != nil {
		t.Fatal(err)
	}
	silent := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Broken, Resource: "pods", Count: -1}}})
	limited, cancel := context.WithTimeoutCause(t.Context(), time.Second, refusal.Deadline("it took too long"))
	defer cancel()
	unknown := Waiter{Cluster: silent.Cluster, Log: log}
	if err := unknown.Wait(limited, ref, applied.GetGeneration()); err == nil || !strings.Contains(err.Error(), "has not listed its pods") {
		t.Errorf("error %v, want that its pods are not listed", err)
	}
}

// What ends a wait from outside is no answer of the cluster's.
func TestAKindThatIsNotServedIsRefusedOnlyWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	w := Waiter{Cluster: kubetest.Connect(t), Log: runbook.New(&waittest.Log{}, nil)}
	ref := kube.Ref{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: "widgets.example.com"}
	for _, cause := range []error{errors.New("the server shuts down"), refusal.Deadline("it took longer than 10m")} {
		ctx, end := context.WithCancelCause(t.Context())
		end(cause)
		err := w.served(ctx, ref, schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"})
		if err == nil || refusal.Is(err) != refusal.Is(cause) {
			t.Errorf("because %v: error %v, a refusal: %t", cause, err, refusal.Is(err))
		}
	}
}
