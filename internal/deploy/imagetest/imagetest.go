// Package imagetest makes a container image of a small Go program and serves
// it to the nodes of the local cluster, for tests that need pods of their own.
// It stands beside the deploy room's tests; nothing else imports it.
package imagetest

import (
	"archive/tar"
	"bytes"
	"errors"
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
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube"
)

// Serve compiles the program in a directory of the module and returns the
// reference, by digest, of an image that runs it. The image is served until
// the test ends, by a registry that listens where the API server does: an
// address of this machine that the nodes reach.
func Serve(tb testing.TB, cluster *kube.Cluster, dir string) string {
	tb.Helper()
	image, err := build(tb.TempDir(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	server, err := url.Parse(cluster.Server)
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(server.Hostname(), "0"))
	if err != nil {
		tb.Fatalf("listen where the nodes can reach this machine: %v", err)
	}
	host := listener.Addr().String()
	handler := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: time.Minute}
	go func() { _ = handler.Serve(listener) }()
	tb.Cleanup(func() { _ = handler.Close() })
	local, err := localkube.New(localkube.Config{Name: cluster.Context})
	if err != nil {
		tb.Fatal(err)
	}
	if err := local.TrustRegistry(tb.Context(), host, "http://"+host, ""); err != nil {
		tb.Fatal(err)
	}
	ref, err := push(host, filepath.Base(dir), image)
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}

func push(host, repository string, image v1.Image) (string, error) {
	target, err := name.NewRepository(host+"/"+repository, name.Insecure)
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	return target.Digest(digest.String()).String(), remote.Write(target.Tag("1"), image)
}

// build makes an image of nothing but one static program.
func build(work, dir string) (v1.Image, error) {
	program := filepath.Join(work, "program")
	compile := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./"+dir)
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile %s: %w\n%s", dir, err, out)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	err = w.WriteHeader(&tar.Header{Name: "program", Mode: 0o755, Size: int64(len(binary))})
	_, err2 := w.Write(binary)
	if err := errors.Join(err, err2, w.Close()); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{"/program"}}
	return mutate.ConfigFile(image, config)
}
