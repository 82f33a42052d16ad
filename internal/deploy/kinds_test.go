package deploy

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/pipeline"
)

// worker is a workload of a kind that has no Services to serve.
func worker(kind, name, image string, env string) string {
	version, spec := "apps/v1", "  selector: {matchLabels: {app: "+name+"}}\n"
	policy := ""
	switch kind {
	case "StatefulSet":
		spec += "  serviceName: " + name + "\n  replicas: 2\n"
	case "Job":
		version, spec, policy = "batch/v1", "  backoffLimit: 0\n", "restartPolicy: Never, "
	}
	return fmt.Sprintf(`apiVersion: %s
kind: %s
metadata: {name: %s}
spec:
%s  template:
    metadata: {labels: {app: %s}}
    spec: {%sterminationGracePeriodSeconds: 1, containers: [{name: web, image: "%s", env: [{name: MODE, value: "%s"}]}]}
`, version, kind, name, spec, name, policy, image, env)
}

func TestOtherWorkloadsAreWaitedFor(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	b.write(t, worker("StatefulSet", "db", image, "naive"), worker("DaemonSet", "agent", image, "naive"), worker("Job", "load", image, "done"))
	b.deployWell(t, b.request())
	jobs, err := b.cluster.List(t.Context(), schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}, b.namespace, "")
	if err != nil || len(jobs) != 1 || !strings.HasPrefix(jobs[0].GetName(), "load-") {
		t.Fatalf("jobs %v, error %v, want one that is named after load and its content", jobs, err)
	}
	for _, ref := range []kube.Ref{b.ref("apps/v1", "StatefulSet", "db"), b.ref("apps/v1", "DaemonSet", "agent"), kube.RefOf(&jobs[0])} {
		live, err := b.cluster.Get(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if health := kube.HealthOf(live); health.Status != kube.Current {
			t.Errorf("%s: %+v, want it current", ref, health)
		}
	}
	b.write(t, worker("StatefulSet", "db", image, "crash"), worker("DaemonSet", "agent", image, "naive"))
	d := b.deploy(t, b.request())
	if d.Outcome != pipeline.Failed || !d.Reverted || !strings.Contains(d.Message, "StatefulSet db") || !strings.Contains(d.Message, "boom: no database") {
		t.Errorf("a StatefulSet that crashes: %s: %s", d.Outcome, d.Message)
	}
	b.write(t, worker("Job", "load2", image, "crash"))
	d = b.deploy(t, b.request())
	if d.Outcome != pipeline.Failed || !strings.Contains(d.Message, "Job load2") || !strings.Contains(d.Message, "BackoffLimitExceeded") || !strings.Contains(d.Message, "boom: no database") {
		t.Errorf("a Job that fails: %s: %s", d.Outcome, d.Message)
	}
}

func TestADefinitionComesWithItsObjects(t *testing.T) {
	b := setup(t)
	group := kubetest.Name(t) + ".example.com"
	definition := fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, group)
	widget := fmt.Sprintf("apiVersion: %s/v1\nkind: Widget\nmetadata: {name: w}\nsize: 1\n", group)
	t.Cleanup(func() {
		ref := kube.Ref{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: "widgets." + group}
		if err := b.cluster.Delete(context.WithoutCancel(t.Context()), ref, ""); err != nil {
			t.Error(err)
		}
	})
	b.write(t, widget, definition)
	b.deployWell(t, b.request())
	w := kube.Ref{APIVersion: group + "/v1", Kind: "Widget", Namespace: b.namespace, Name: "w"}
	if _, err := b.cluster.Get(t.Context(), w); err != nil {
		t.Error(err)
	}
	b.write(t, extra)
	b.deployWell(t, b.request())
	b.wantGone(t, w)
	if !strings.Contains(b.log.String(), "prune CustomResourceDefinition widgets."+group+": kept") {
		t.Error("the log does not say that the definition is kept")
	}
}
