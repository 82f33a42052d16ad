// Package imagetest makes container images of small Go programs and serves
// them to the nodes of the local cluster, for tests and benches that need pods
// of their own. It stands beside the deploy room's tests and knows nothing of
// deployments.
package imagetest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/towline/towline/internal/kube"
)

// Serve returns the reference, by digest, of an image that runs the program in
// a directory of the module. The image is served until the test ends.
func Serve(tb testing.TB, cluster *kube.Cluster, dir string) string {
	tb.Helper()
	r, err := Listen(tb.Context(), cluster, "0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	ref, err := r.Publish(tb.Context(), filepath.Base(dir), dir)
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}

// Publish compiles the program in a directory of the module, pushes an image of
// it and returns its reference, by digest.
func (r *Registry) Publish(ctx context.Context, repository, dir string) (string, error) {
	image, err := Build(ctx, dir)
	if err != nil {
		return "", err
	}
	return r.Push(ctx, repository, "1", image)
}

// Build makes an image of nothing but the program in a directory of the module.
// The same program makes the same image, which runs with the environment given,
// in lines NAME=VALUE.
func Build(ctx context.Context, dir string, env ...string) (v1.Image, error) {
	layer, err := programLayer(ctx, dir)
	if err != nil {
		return nil, err
	}
	return imageOf(layer, v1.Config{Entrypoint: []string{"/program"}, Env: env})
}

// imageOf is the image of one layer, for machines such as this one.
func imageOf(layer v1.Layer, run v1.Config) (v1.Image, error) {
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config = "linux", runtime.GOARCH, run
	return mutate.ConfigFile(image, config)
}

// programLayer is the compiled program, as the file /program.
func programLayer(ctx context.Context, dir string) (v1.Layer, error) {
	work, err := os.MkdirTemp("", "towline-imagetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	program := filepath.Join(work, "program")
	if err := Compile(ctx, dir, program); err != nil {
		return nil, err
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
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
}

// Compile makes a static executable of the program in a directory of the
// module, for the nodes.
func Compile(ctx context.Context, dir, executable string) error {
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", executable, "./"+filepath.ToSlash(dir))
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", dir, err, out)
	}
	return nil
}
