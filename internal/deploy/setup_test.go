package deploy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/webtest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

func TestMain(m *testing.M) {
	if point := os.Getenv(childPoint); point != "" {
		os.Exit(runChild(point))
	}
	// How many tests run is decided by places and measuring: one that waits for
	// a place does nothing, and must not keep another one from running.
	flag.Parse()
	if err := flag.Set("test.parallel", "1000"); err != nil {
		panic(err)
	}
	code := m.Run()
	closeImages()
	os.Exit(code)
}

// bundle is what one test deploys with: its own namespace and its own files.
type bundle struct {
	cluster   *kube.Cluster
	namespace string
	root      string
	log       *waittest.Log
	config    Config
}

// places are for the tests that run at the same time, beside those that count
// losses. They are more than processors, for tests wait for pods most of the
// time.
var places = make(chan struct{}, 8)

// setup is for all tests but those that count losses.
func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	take(t, places)
	return setupAlone(t)
}

// take takes a place until the end of the test.
func take(t *testing.T, places chan struct{}) {
	places <- struct{}{}
	t.Cleanup(func() { <-places })
}

// setupAlone is for the test that measures the full rate: it runs before the
// parallel ones, whose load would be measured as well.
func setupAlone(t *testing.T) *bundle {
	t.Helper()
	cluster := kubetest.Connect(t)
	b := &bundle{cluster: cluster, namespace: kubetest.Name(t), root: t.TempDir(), log: &waittest.Log{}}
	b.config = Config{Cluster: cluster, Recipe: quickRecipe, scaleDown: time.Second}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the runbook:\n%s", b.log)
		}
	})
	return b
}

// quickRecipe is for deployments whose losses are not looked at.
var quickRecipe = manifest.Recipe{Detach: time.Second, LongestRequest: time.Second}

// safeRecipe loses no request on a cluster of one machine, also when that has
// much else to do.
var safeRecipe = manifest.Recipe{Detach: 3 * time.Second, LongestRequest: 2 * time.Second}

// measuring are the places for tests that count losses beside others. With more
// of them the load alone would lose requests.
var measuring = make(chan struct{}, 4)

// measuredRate is what such a test sends in a second.
const measuredRate = 40

// setupMeasured is for tests that count losses: few of them run at a time.
func setupMeasured(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	take(t, measuring)
	b := setupAlone(t)
	b.config.Recipe = safeRecipe
	return b
}

// write replaces the manifests.
func (b *bundle) write(t testing.TB, documents ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(b.root, "k8s"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.root, "k8s", "web.yaml"), []byte(strings.Join(documents, "\n---\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) request() Request {
	return Request{Deploy: pipeline.Deploy{App: "web", Namespace: b.namespace, Timeout: "90s"}, Root: b.root, Log: b.log}
}

// deploy deploys and fails the test when the cluster could not be asked.
func (b *bundle) deploy(t testing.TB, request Request) pipeline.Deployment {
	t.Helper()
	d, err := New(b.config).Deploy(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (b *bundle) deployWell(t testing.TB, request Request) pipeline.Deployment {
	t.Helper()
	d := b.deploy(t, request)
	if d.Outcome != pipeline.Succeeded {
		t.Fatalf("outcome %s: %s", d.Outcome, d.Message)
	}
	return d
}

// deployFirst makes the revision that a test begins with, as the request has it
// or by a rolling update. It is not measured.
func (b *bundle) deployFirst(t testing.TB, requests ...Request) {
	t.Helper()
	request := b.request()
	if len(requests) > 0 {
		request = requests[0]
	}
	request.Verify.Off = true
	b.deployWell(t, request)
}

func (b *bundle) ref(apiVersion, kind, name string) kube.Ref {
	return kube.Ref{APIVersion: apiVersion, Kind: kind, Namespace: b.namespace, Name: name}
}

// web is the test application's Deployment. Further lines of env are
// NAME=VALUE. Its pods count a little sooner than the recipe has it.
func web(image string, replicas int, env ...string) string {
	return strings.Replace(webtest.Deployment(image, replicas, append([]string{"KEPT=yes"}, env...)...), "\nspec:\n", "\nspec:\n  minReadySeconds: 1\n", 1)
}

// ready is the readiness probe that an application should have.
const ready = webtest.Ready

const webService = `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`

// applyAs applies one object as somebody else would, by force.
func (b *bundle) applyAs(t testing.TB, manager, document string) {
	t.Helper()
	var object unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
		t.Fatal(err)
	}
	object.SetNamespace(b.namespace)
	if _, err := b.cluster.Apply(t.Context(), &object, kube.ApplyOptions{Manager: manager, Force: true}); err != nil {
		t.Fatal(err)
	}
}
