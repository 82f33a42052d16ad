package pullsecret_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/towline/towline/internal/deploy/pullsecret"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/localkube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/registry"
	"github.com/towline/towline/internal/waittest"
)

// TestNodesPullWithTheSecret lets a real node pull from a real registry that
// asks for a password.
func TestNodesPullWithTheSecret(t *testing.T) {
	cluster := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, cluster)
	r := serve(t, cluster)
	image := r.push(t, "team/web")
	config := pullsecret.Config{App: "web", Host: r.host, Password: r.registry.PullToken}

	t.Run("a pod with the application's secret is started", func(t *testing.T) {
		objects, _, err := pullsecret.Add(pod(namespace, "with", image), config)
		if err != nil {
			t.Fatal(err)
		}
		state := run(t, cluster, objects)
		if state.Phase != corev1.PodSucceeded {
			t.Errorf("the pod is %s", waiting(state))
		}
	})
	t.Run("a pod without it is not", func(t *testing.T) {
		if text := waiting(run(t, cluster, pod(namespace, "without", image))); !strings.Contains(text, "authorization failed") {
			t.Error(text)
		}
	})
	t.Run("a pod with the secret of another application is not", func(t *testing.T) {
		other := config
		other.App = "other"
		other.Password = func(...string) (string, error) { return r.registry.PullToken("team/other") }
		objects, _, err := pullsecret.Add(pod(namespace, "other", image), other)
		if err != nil {
			t.Fatal(err)
		}
		if text := waiting(run(t, cluster, objects)); !strings.Contains(text, "403") {
			t.Error(text)
		}
	})
}

func TestAccountSecrets(t *testing.T) {
	cluster := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, cluster)
	account := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ServiceAccount",
		"metadata": map[string]any{"name": "runner", "namespace": namespace}, "imagePullSecrets": []any{map[string]any{"name": "ghcr"}}}}
	if _, err := cluster.Apply(t.Context(), account, kube.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	ask := pullsecret.AccountSecrets(t.Context(), cluster)
	for name, want := range map[string]string{"runner": "ghcr", "nobody": ""} {
		got, err := ask(namespace, name)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s has %v, want %q: %v", name, got, want, err)
		}
	}
}

// server is the embedded registry where the nodes reach it.
type server struct {
	host     string // as the images are named, and as only the nodes understand it
	address  string
	password string // for everything
	registry *registry.Registry
}

func serve(t *testing.T, cluster *kube.Cluster) *server {
	t.Helper()
	r := &server{password: rand.Text()}
	var err error
	r.registry, err = registry.New(registry.Config{Dir: t.TempDir(), Authorize: func(request *http.Request, _ string, _ bool) bool {
		_, password, _ := request.BasicAuth()
		return password == r.password
	}})
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(cluster.Server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address.Hostname(), "0"))
	if err != nil {
		t.Fatalf("listen where the nodes can reach this machine: %v", err)
	}
	r.address = listener.Addr().String()
	_, port, err := net.SplitHostPort(r.address)
	if err != nil {
		t.Fatal(err)
	}
	r.host = net.JoinHostPort("localhost", port)
	served := make(chan error, 1)
	handler := &http.Server{Handler: r.registry, ReadHeaderTimeout: time.Minute}
	go func() { served <- handler.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := handler.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-served
		if err := r.registry.Close(); err != nil {
			t.Error(err)
		}
	})
	local, err := localkube.New(localkube.Config{Name: cluster.Context})
	if err != nil {
		t.Fatal(err)
	}
	// The nodes are told where it is, but no password.
	if err := local.TrustRegistry(t.Context(), r.host, "http://"+r.address, ""); err != nil {
		t.Fatalf("%v: this test needs the local cluster, which `make cluster` brings up", err)
	}
	return r
}

// push pushes an image that no node has yet and returns its reference.
func (r *server) push(t *testing.T, repository string) string {
	t.Helper()
	target, err := name.NewRepository(r.address+"/"+repository, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image := build(t)
	if err := remote.Write(target.Tag("1"), image, remote.WithAuth(&authn.Basic{Username: "towline", Password: r.password})); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return r.host + "/" + repository + "@" + digest.String()
}

func build(t *testing.T) v1.Image {
	t.Helper()
	program := filepath.Join(t.TempDir(), "done")
	compile := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/done")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile testdata/done: %v\n%s", err, out)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for file, content := range map[string][]byte{"done": binary, "unique": []byte(rand.Text())} {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, RootFS: rootFS(t, image), Config: v1.Config{Entrypoint: []string{"/done"}}})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func rootFS(t *testing.T, image v1.Image) v1.RootFS {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.RootFS
}

// pod is a Pod that asks the registry even for an image that its node has.
func pod(namespace, name, image string) []manifest.Object {
	return manifest.Wrap(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": namespace},
		"spec": map[string]any{
			"restartPolicy": "Never", "automountServiceAccountToken": false,
			"containers": []any{map[string]any{"name": "done", "image": image, "imagePullPolicy": "Always"}},
		},
	}})
}

// run applies objects of which the first one is a Pod, the Secret before it,
// and returns the Pod's state once it has ended or cannot be started.
func run(t *testing.T, cluster *kube.Cluster, objects []manifest.Object) corev1.PodStatus {
	t.Helper()
	for _, o := range slices.Backward(objects) {
		if _, err := cluster.Apply(t.Context(), o.Unstructured, kube.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var pod corev1.Pod
	waittest.Until(t, "the pod has its image, or has not got it", func() bool {
		found, err := cluster.Get(t.Context(), kube.RefOf(objects[0].Unstructured))
		if err != nil {
			t.Fatal(err)
		}
		if err := apiruntime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &pod); err != nil {
			t.Fatal(err)
		}
		text := waiting(pod.Status)
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed || strings.Contains(text, "ErrImagePull") || strings.Contains(text, "ImagePullBackOff")
	})
	return pod.Status
}

// waiting is a pod's phase and what its container waits for.
func waiting(state corev1.PodStatus) string {
	text := string(state.Phase)
	for _, c := range state.ContainerStatuses {
		if c.State.Waiting != nil {
			text += fmt.Sprintf(": %s: %s", c.State.Waiting.Reason, c.State.Waiting.Message)
		}
	}
	return text
}
