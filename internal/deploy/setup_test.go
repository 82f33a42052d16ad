package deploy

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/localkube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
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
	images.close()
	os.Exit(code)
}

// images is the registry of this test process, started with the first image.
var images imageServer

// imageServer serves the test application's image from the address of this
// machine that the nodes can reach.
type imageServer struct {
	once   sync.Once
	ref    string // of the image, by digest
	err    error
	server *http.Server
}

// webImage is the test application's image, by digest.
func webImage(t testing.TB) string {
	t.Helper()
	images.once.Do(func() { images.err = images.start(kubetest.Connect(t)) })
	if images.err != nil {
		t.Fatal(images.err)
	}
	return images.ref
}

func (s *imageServer) start(cluster *kube.Cluster) error {
	server, err := url.Parse(cluster.Server)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(server.Hostname(), "0"))
	if err != nil {
		return fmt.Errorf("listen where the nodes can reach this machine: %w", err)
	}
	s.server = &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(listener) }()
	host := listener.Addr().String()
	if err := s.trustIt(cluster.Context, host); err != nil {
		return err
	}
	image, err := buildWeb()
	if err != nil {
		return err
	}
	reference, err := name.NewRepository(host+"/web", name.Insecure)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	s.ref = reference.Digest(digest.String()).String()
	return remote.Write(reference.Tag("1"), image)
}

// trustIt tells the nodes of the local cluster to pull by plain HTTP.
func (s *imageServer) trustIt(name, host string) error {
	local, err := localkube.New(localkube.Config{Name: name})
	if err != nil {
		return err
	}
	return local.TrustRegistry(context.Background(), host, "http://"+host, "")
}

func (s *imageServer) close() {
	if s.server != nil {
		_ = s.server.Close()
	}
}

// buildWeb compiles the test application and makes an image of it.
func buildWeb() (v1.Image, error) {
	dir, err := os.MkdirTemp("", "towline-web-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "web"), "./testdata/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile testdata/web: %w\n%s", err, out)
	}
	binary, err := os.ReadFile(filepath.Join(dir, "web"))
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err = w.WriteHeader(&tar.Header{Name: "web", Mode: 0o755, Size: int64(len(binary))})
	_, err2 := w.Write(binary)
	if err := errors.Join(err, err2, w.Close()); err != nil {
		return nil, err
	}
	packed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, packed)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{"/web"}}
	return mutate.ConfigFile(image, config)
}

// bundle is what one test deploys with: its own namespace and its own files.
type bundle struct {
	cluster   *kube.Cluster
	namespace string
	root      string
	log       *syncBuffer
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
	b := &bundle{cluster: cluster, namespace: kubetest.Name(t), root: t.TempDir(), log: &syncBuffer{}}
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
	var vars strings.Builder
	for _, e := range env {
		key, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&vars, "        - {name: %s, value: %q}\n", key, value)
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: %s
        ports: [{containerPort: 8080}]
        env:
        - {name: KEPT, value: "yes"}
%s`, replicas, image, vars.String())
}

// ready is the readiness probe that an application should have.
const ready = "        readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}\n"

const webService = `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`

// syncBuffer is a buffer for one writer and several readers.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

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
