package rehearsal

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/manifest"
)

// The tests wait for pods, not for the processor.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	m.Run()
}

// stage is a namespace with the test application's image at hand.
type stage struct {
	cluster   *kube.Cluster
	namespace string
	image     string
}

// setup is for tests of one rehearsal, which run side by side. The one that
// counts the losses of a rollout runs before them, alone.
func setup(t *testing.T) *stage {
	t.Helper()
	cluster := kubetest.Connect(t)
	return &stage{cluster: cluster, namespace: kubetest.Namespace(t, cluster), image: imagetest.Serve(t, cluster, "testdata/pod")}
}

// objects are a Deployment and its Service, completed as a deployment does.
func (s *stage) objects(t *testing.T, mode string, replicas int, spec string) []manifest.Object {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: %[4]d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
%[5]s
      containers:
      - name: web
        image: %[2]s
        env: [{name: MODE, value: %[3]s}, {name: WORK, value: 5ms}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`, s.namespace, s.image, mode, replicas, spec)
	var us []*unstructured.Unstructured
	for document := range strings.SplitSeq(text, "---\n") {
		var u unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			t.Fatal(err)
		}
		u.Object, _ = integers(u.Object).(map[string]any)
		us = append(us, &u)
	}
	objs := manifest.Wrap(us...)
	manifest.Complete(objs, manifest.Recipe{Detach: 2 * time.Second, LongestRequest: 2 * time.Second})
	return objs
}

// proxied puts the draining proxy into the pods. The test's image has its
// program elsewhere than the agent's.
func (s *stage) proxied(t *testing.T, objs []manifest.Object) {
	t.Helper()
	version, err := s.cluster.Ping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proxy := manifest.DrainProxy{Image: s.image, Version: version, Detach: 2 * time.Second, Longest: 5 * time.Second}
	if _, err := manifest.AddDrainProxy(objs, proxy); err != nil {
		t.Fatal(err)
	}
	template, _ := manifest.Template(objs[0].Unstructured)
	sidecars, _, _ := unstructured.NestedSlice(template, "spec", "initContainers")
	command := []any{"/program", "agent", "drain", "begin", "--admin=15190"}
	if err := unstructured.SetNestedSlice(sidecars[0].(map[string]any), command, "lifecycle", "preStop", "exec", "command"); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedSlice(template, sidecars, "spec", "initContainers"); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) apply(t *testing.T, objs []manifest.Object) {
	t.Helper()
	for _, o := range objs {
		if _, err := s.cluster.Apply(t.Context(), o.Unstructured, kube.ApplyOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// config rehearses the first of the objects, a Deployment, by the second.
func (s *stage) config(t *testing.T, objs []manifest.Object) Config {
	t.Helper()
	template, _ := manifest.Template(objs[0].Unstructured)
	port, ok := PortOf(objs[1].Object, template)
	if !ok {
		t.Fatal("no port")
	}
	return Config{
		Cluster: s.cluster, Namespace: s.namespace, App: "web", Template: template, Port: port, Hash: "abc",
		Report: func(text string) { t.Log(text) },
	}
}

// spares are the spare pods that are there.
func (s *stage) spares(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	pods, err := s.cluster.List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, s.namespace, Label)
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

func (s *stage) slices(t *testing.T) []discoveryv1.EndpointSlice {
	t.Helper()
	slices, err := s.cluster.EndpointSlices(t.Context(), s.namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	return slices
}
