package kube_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
)

// TestWithoutClientSide answers a dry-run of an apply of one container to a
// Deployment that kubectl has applied with two.
func TestWithoutClientSide(t *testing.T) {
	t.Parallel()
	const object = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {team: a, app: web}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"metadata":{"labels":{"team":"a","app":"web"}},"spec":{"replicas":2,"template":{"spec":{"containers":[
        {"name":"web","image":"web:1","ports":[{"containerPort":80}],"args":["a"]},{"name":"side","image":"side:1"}]}}}}
  managedFields:
    - manager: towline
      operation: Apply
      fieldsV1: {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:template": {"f:spec": {"f:containers": {
        'k:{"name":"web"}': {".": {}, "f:name": {}, "f:image": {}}}}}}}
    - manager: kube-controller-manager
      operation: Update
      fieldsV1: {"f:spec": {"f:replicas": {}}}
    - manager: kubectl-client-side-apply
      operation: Update
      fieldsV1: {"f:metadata": {"f:labels": {".": {}, "f:team": {}, "f:app": {}}, "f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}}},
        "f:spec": {"f:replicas": {}, "f:revisionHistoryLimit": {}, "f:template": {"f:spec": {"f:containers": {
          'k:{"name":"web"}': {".": {}, "f:name": {}, "f:args": {}, "f:ports": {".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}}}},
          'k:{"name":"side"}': {".": {}, "f:name": {}, "f:image": {}, "f:imagePullPolicy": {}}}}}}}
spec:
  replicas: 2
  revisionHistoryLimit: 10
  template:
    spec:
      containers:
        - {name: web, image: "web:2", args: [a], ports: [{containerPort: 80, protocol: TCP}]}
        - {name: side, image: "side:1", imagePullPolicy: IfNotPresent}
`
	var applied unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(object), &applied.Object); err != nil {
		t.Fatal(err)
	}
	before := applied.DeepCopy()
	got := kube.WithoutClientSide(&applied)
	if diff := cmp.Diff(before.Object, applied.Object); diff != "" {
		t.Errorf("the answer itself was changed (-want +got)\n%s", diff)
	}
	got.SetManagedFields(nil)
	want := map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "web", "labels": map[string]any{"app": "web"}},
		"spec": map[string]any{
			"replicas":             float64(2),  // its controller's as well
			"revisionHistoryLimit": float64(10), // a default, which would come back
			"template": map[string]any{"spec": map[string]any{"containers": []any{
				map[string]any{"name": "web", "image": "web:2"},
			}}},
		},
	}
	if diff := cmp.Diff(want, got.Object); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOnlyConflictsWithKubectlApplyAreHandedOver(t *testing.T) {
	t.Parallel()
	csa, hpa := kube.Conflict{Manager: "kubectl-client-side-apply"}, kube.Conflict{Manager: "kube-controller-manager"}
	if e := (&kube.ConflictError{Conflicts: []kube.Conflict{csa}}); !e.OnlyClientSide() {
		t.Error("a conflict with kubectl apply is one")
	}
	if e := (&kube.ConflictError{Conflicts: []kube.Conflict{csa, hpa}}); e.OnlyClientSide() {
		t.Error("a conflict with somebody else as well is none")
	}
}

func TestClientSideApplied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields string
		want   bool
	}{
		"by kubectl apply":               {`[{manager: towline, operation: Apply}, {manager: kubectl-client-side-apply, operation: Update}]`, true},
		"before there was ownership":     {`[{manager: before-first-apply, operation: Update}]`, true},
		"by kubectl apply --server-side": {`[{manager: kubectl, operation: Apply}]`, false},
		"by an apply under that name":    {`[{manager: kubectl-client-side-apply, operation: Apply}]`, false},
		"in its status":                  {`[{manager: kubectl-client-side-apply, operation: Update, subresource: status}]`, false},
		"by nobody":                      {`[]`, false},
		"by what cannot be read":         {`[1, {manager: 2}]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live := parseObject(t, "n", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, managedFields: "+c.fields+"}")
			if got := kube.ClientSideApplied(live); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if kube.ClientSideApplied(nil) {
		t.Error("what is not there was applied")
	}
}
