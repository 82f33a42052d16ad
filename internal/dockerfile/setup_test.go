package dockerfile_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/basetest"
	"github.com/towline/towline/internal/dockerfile/buildah"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/waittest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// program is the command line that becomes another program.
func program(t testing.TB) []string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	return []string{self, "enclose"}
}

// place is a registry with a base image, and what builds on it.
type place struct {
	t       testing.TB
	builder *dockerfile.Builder
	host    string // of the registry
	private string // of one that wants a password
}

// base is the image that FROM names.
func (p place) base() string { return p.host + "/busybox:1" }

// shortDir is a directory for sockets, whose paths must be short: a test's own
// directory has its name in it.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tl-") //nolint:usetesting // as said above
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// newDaemon is a BuildKit that ends with the test.
func newDaemon(t testing.TB, hosts ...string) *daemon.Daemon {
	t.Helper()
	d := daemonIn(filepath.Join(t.TempDir(), "buildkit"), program(t), hosts...)
	t.Cleanup(d.Close)
	return d
}

func daemonIn(dir string, program []string, hosts ...string) *daemon.Daemon {
	return daemon.New(daemon.Config{
		Dir: dir, Program: program, Find: daemon.Finder{}.Find,
		CacheLimit: 1 << 30, Insecure: hosts, Idle: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
}

// startRegistry serves a registry with the base image, to all or to those who
// know the password.
func startRegistry(t testing.TB, password string) string {
	t.Helper()
	images := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	ref, err := name.ParseReference(host+"/busybox:1", name.Insecure)
	must(t, err)
	must(t, remote.Write(ref, busybox(t), remote.WithAuth(&authn.Basic{Username: "any", Password: password})))
	return host
}

// ways runs the tests by each way of this machine, which they share.
func ways(t *testing.T, tests map[string]func(t *testing.T, p place)) {
	host, private := startRegistry(t, ""), startRegistry(t, hush)
	for _, way := range []dockerfile.Way{
		&buildkit.Own{Daemon: newDaemon(t, host, private)},
		&buildah.Buildah{Dir: t.TempDir(), Program: program(t), CacheLimit: 1 << 30, Insecure: []string{host, private}},
	} {
		t.Run(way.Name(), func(t *testing.T) {
			t.Parallel()
			builder := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), way)
			for name, test := range tests {
				t.Run(name, func(t *testing.T) { test(t, place{t, builder, host, private}) })
			}
		})
	}
}

// busybox is an image with a shell and little else.
func busybox(t testing.TB) v1.Image {
	t.Helper()
	image, err := basetest.Busybox()
	must(t, err)
	return image
}

// build is a build of these files, of which one is the Dockerfile.
func (p place) build(files map[string]string) (dockerfile.Build, *waittest.Log) {
	p.t.Helper()
	dir := p.t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		must(p.t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(p.t, os.WriteFile(full, []byte(strings.ReplaceAll(text, "BASE", p.base())), 0o644))
	}
	said := &waittest.Log{}
	return dockerfile.Build{
		Dir: dir, File: filepath.Join(dir, "Dockerfile"), Context: dir, Output: filepath.Join(p.t.TempDir(), "output"),
		Time: time.Unix(1_700_000_000, 0), Log: said,
		Credential: func(context.Context, string) (dockerfile.Credential, error) { return dockerfile.Credential{}, nil },
	}, said
}

// made builds and returns the one image that comes out.
func (p place) made(b dockerfile.Build, said *waittest.Log) v1.Image {
	p.t.Helper()
	if _, err := p.builder.Build(p.t.Context(), b); err != nil {
		p.t.Fatalf("%v\n%s", err, said)
	}
	return only(p.t, b.Output)
}

// refused builds what must be refused, and returns why.
func (p place) refused(b dockerfile.Build, said *waittest.Log) string {
	p.t.Helper()
	_, err := p.builder.Build(p.t.Context(), b)
	refused, ok := errors.AsType[*dockerfile.RefusedError](err)
	if !ok {
		p.t.Fatalf("got %v; want a refusal\n%s", err, said)
	}
	return refused.Message
}

// only is the one image in a layout.
func only(t testing.TB, dir string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	if len(manifest.Manifests) != 1 {
		t.Fatalf("the layout has %d images", len(manifest.Manifests))
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	must(t, err)
	return image
}

// files are the contents of an image's files, by path.
func files(t testing.TB, image v1.Image) map[string]string {
	t.Helper()
	flat := mutate.Extract(image)
	defer flat.Close()
	found := map[string]string{}
	for r := tar.NewReader(flat); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		must(t, err)
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(r)
		must(t, err)
		found[h.Name] = string(text)
	}
}
