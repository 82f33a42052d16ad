// Package methodtest is the conformance suite of the deployment methods: what
// every way of writing to a cluster must do and which errors it must answer
// with, asked of a real cluster. Whoever adds a method runs it.
package methodtest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

// Method is a way of writing to a cluster, as deploy declares it.
type Method interface {
	Apply(ctx context.Context, obj *unstructured.Unstructured, options kube.ApplyOptions) (*unstructured.Unstructured, error)
	Create(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error)
	Scale(ctx context.Context, ref kube.Ref, replicas int, guard kube.Guard) error
	Delete(ctx context.Context, ref kube.Ref, uid types.UID) error

	ApplyCommand(ref kube.Ref, options kube.ApplyOptions, guarded bool) string
	CreateCommand(ref kube.Ref) string
	ScaleCommand(ref kube.Ref, replicas int) string
	DeleteCommand(ref kube.Ref, uid types.UID) string
}

// Run asks a method everything. newMethod is called for several clusters: as
// an administrator, as a user without rights, and through a proxy that lets
// faults befall requests.
func Run(t *testing.T, newMethod func(*kube.Cluster) Method) {
	cluster := kubetest.Connect(t)
	s := &suite{newMethod: newMethod, cluster: cluster, method: newMethod(cluster), namespace: kubetest.Namespace(t, cluster)}
	t.Run("apply", s.apply)
	t.Run("refuse", s.refuse)
	t.Run("guard", s.guard)
	t.Run("create", s.create)
	t.Run("scale", s.scale)
	t.Run("delete", s.remove)
	t.Run("survive", s.survive)
	t.Run("end", s.end)
}

// suite is what the tests of one method share.
type suite struct {
	newMethod func(*kube.Cluster) Method
	cluster   *kube.Cluster
	method    Method
	namespace string
}

// object reads a manifest and puts it into the suite's namespace.
func (s *suite) object(tb testing.TB, manifest string) *unstructured.Unstructured {
	tb.Helper()
	text, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		tb.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		tb.Fatal(err)
	}
	object.SetNamespace(s.namespace)
	return object
}

// configMap is a ConfigMap with one key.
func (s *suite) configMap(tb testing.TB, name, value string) *unstructured.Unstructured {
	tb.Helper()
	return s.object(tb, "{apiVersion: v1, kind: ConfigMap, metadata: {name: "+name+"}, data: {key: "+value+"}}")
}

// deployment is a Deployment without pods whose container has some variables.
func (s *suite) deployment(tb testing.TB, name string, variables ...string) *unstructured.Unstructured {
	tb.Helper()
	env := []any{}
	for _, v := range variables {
		env = append(env, map[string]any{"name": v, "value": "x"})
	}
	object := s.object(tb, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: `+name+`}
spec:
  replicas: 0
  selector: {matchLabels: {app: `+name+`}}
  template:
    metadata: {labels: {app: `+name+`}}
    spec:
      containers: [{name: app, image: registry.example.com/app, ports: [{containerPort: 80}]}]
`)
	containers := object.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)
	containers[0].(map[string]any)["env"] = env
	return object
}

// mustApply applies with the suite's method.
func (s *suite) mustApply(tb testing.TB, object *unstructured.Unstructured) *unstructured.Unstructured {
	tb.Helper()
	applied, err := s.method.Apply(tb.Context(), object, kube.ApplyOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return applied
}

// live reads an object as it is in the cluster.
func (s *suite) live(tb testing.TB, object *unstructured.Unstructured) *unstructured.Unstructured {
	tb.Helper()
	found, err := s.cluster.Get(tb.Context(), kube.RefOf(object))
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

// nobody is the method for a user who may do nothing.
func (s *suite) nobody(tb testing.TB) Method {
	tb.Helper()
	text, err := s.cluster.Kubeconfig()
	if err != nil {
		tb.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		tb.Fatal(err)
	}
	for _, user := range config["users"].([]any) {
		user.(map[string]any)["user"].(map[string]any)["as"] = "towline-nobody"
	}
	if text, err = json.Marshal(config); err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	cluster, err := kube.Connect(file, "")
	if err != nil {
		tb.Fatal(err)
	}
	return s.newMethod(cluster)
}

// value is a string field of an object, or nothing.
func value(object *unstructured.Unstructured, fields ...string) string {
	found, _, err := unstructured.NestedString(object.Object, fields...)
	if err != nil {
		return err.Error()
	}
	return found
}

// hang is longer than any test waits.
const hang = 5 * time.Minute

// tick is a moment between two looks at a condition.
func tick(tb testing.TB) <-chan time.Time {
	tb.Helper()
	if err := tb.Context().Err(); err != nil {
		tb.Fatal(err)
	}
	return time.After(10 * time.Millisecond)
}
