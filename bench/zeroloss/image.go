package main

import (
	"archive/tar"
	"bytes"
	"context"
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
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/towline/towline/internal/kube"
)

// application is the source of the test application.
const application = "./internal/deploy/testdata/web"

// serveRegistry starts a registry where the nodes reach this machine: at the
// address of the API server. Its port is the same in each slice, so that what
// is deployed stays the same too.
func serveRegistry(cluster *kube.Cluster, port string) (host string, stop func(), err error) {
	server, err := url.Parse(cluster.Server)
	if err != nil {
		return "", nil, fmt.Errorf("read the address of the API server: %w", err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(server.Hostname(), port))
	if err != nil {
		return "", nil, fmt.Errorf("listen where the nodes reach this machine (is the cluster a local one?): %w", err)
	}
	handler := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: time.Minute}
	go func() { _ = handler.Serve(listener) }() // it ends with stop
	return listener.Addr().String(), func() { _ = handler.Close() }, nil
}

// pushVersions pushes one image of the test application for each version, and
// returns their references by digest.
func pushVersions(ctx context.Context, host string, versions []string) ([]string, error) {
	base, err := buildApplication(ctx)
	if err != nil {
		return nil, err
	}
	repository, err := name.NewRepository(host+"/web", name.Insecure)
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, version := range versions {
		config := v1.Config{Entrypoint: []string{"/web"}, Env: []string{"VERSION=" + version}}
		image, err := mutate.Config(base, config)
		if err != nil {
			return nil, fmt.Errorf("make the image of version %s: %w", version, err)
		}
		digest, err := image.Digest()
		if err != nil {
			return nil, err
		}
		if err := remote.Write(repository.Tag(version), image, remote.WithContext(ctx)); err != nil {
			return nil, fmt.Errorf("push the image of version %s: %w", version, err)
		}
		refs = append(refs, repository.Digest(digest.String()).String())
	}
	return refs, nil
}

// buildApplication compiles the test application and makes an image of it
// alone.
func buildApplication(ctx context.Context) (v1.Image, error) {
	dir, err := os.MkdirTemp("", "towline-web-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "web")
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, application)
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile %s: %w\n%s", application, err, out)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	err = w.WriteHeader(&tar.Header{Name: "web", Mode: 0o755, Size: int64(len(binary))})
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
	return mutate.ConfigFile(image, config)
}
