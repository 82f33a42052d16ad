package deploy

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
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
	// The tests wait for pods, not for the processor.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0)))); err != nil {
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

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	return setupAlone(t)
}

// setupAlone is for tests that measure losses: they run before the parallel
// ones, whose load would be measured as well.
func setupAlone(t *testing.T) *bundle {
	t.Helper()
	cluster := kubetest.Connect(t)
	b := &bundle{cluster: cluster, namespace: kubetest.Name(t), root: t.TempDir(), log: &waittest.Log{}}
	b.config = Config{Cluster: cluster, Recipe: quickRecipe}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the runbook:\n%s", b.log)
		}
	})
	return b
}

// quickRecipe is the zero-loss recipe for a cluster of one machine.
var quickRecipe = manifest.Recipe{Detach: 2 * time.Second, LongestRequest: 2 * time.Second}

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

// deployFirst makes the revision that a test begins with. It is not measured.
func (b *bundle) deployFirst(t testing.TB) {
	t.Helper()
	request := b.request()
	request.Verify.Off = true
	b.deployWell(t, request)
}

func (b *bundle) ref(apiVersion, kind, name string) kube.Ref {
	return kube.Ref{APIVersion: apiVersion, Kind: kind, Namespace: b.namespace, Name: name}
}

// web is the test application's Deployment. Further lines of env are
// NAME=VALUE.
func web(image string, replicas int, env ...string) string {
	return webtest.Deployment(image, replicas, append([]string{"KEPT=yes"}, env...)...)
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
