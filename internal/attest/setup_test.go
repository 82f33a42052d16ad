package attest_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/towline/towline/internal/attest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/registry"
)

const commit = "3f9c2e1a5b6c7d8e9f00112233445566778899aa"

// bench is an attestor with a real registry.
type bench struct {
	t        testing.TB
	host     string
	signer   *attest.Signer // the newest
	attestor *attest.Attestor
	said     []string
}

func setup(t testing.TB) *bench {
	t.Helper()
	reg, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: func(*http.Request, string, bool) bool { return true }})
	must(t, err)
	server := httptest.NewServer(reg)
	t.Cleanup(func() {
		server.Close()
		must(t, reg.Close())
	})
	b := &bench{t: t, host: strings.TrimPrefix(server.URL, "http://")}
	b.signer = signer(t)
	b.attestor = &attest.Attestor{
		Sign:    func(context.Context) (*attest.Signer, error) { return b.signer, nil },
		Builder: "https://towline.example.com", Version: "1.2.3", Cache: t.TempDir(),
		Now: func() time.Time { return time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC) }, Logger: slog.New(slog.DiscardHandler),
	}
	return b
}

func signer(t testing.TB) *attest.Signer {
	t.Helper()
	s, err := attest.NewSigner()
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// files are the contents by path. A path that ends in * is an executable.
type files map[string]string

// layer is an image's layer with these files.
func (f files) layer(t testing.TB) v1.Layer {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		mode := int64(0o644)
		if strings.HasSuffix(name, "*") {
			mode = 0o755
		}
		must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimSuffix(name, "*"), Size: int64(len(f[name])), Mode: mode}))
		_, err := io.WriteString(w, f[name])
		must(t, err)
	}
	must(t, w.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	must(t, err)
	return l
}

// dir is a directory with these files.
func (f files) dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range f {
		path, mode := filepath.Join(dir, strings.TrimSuffix(name, "*")), os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			mode = 0o755
		}
		must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)))
	}
	return dir
}

// archive is a zip file with these files.
func (f files) archive(t testing.TB) string {
	t.Helper()
	var text bytes.Buffer
	w := zip.NewWriter(&text)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		entry, err := w.Create(name)
		must(t, err)
		_, err = io.WriteString(entry, f[name])
		must(t, err)
	}
	must(t, w.Close())
	return text.String()
}

// push pushes an image: the layers of a base, and the application on top.
func (b *bench) push(app files, base ...files) attest.Image {
	b.t.Helper()
	img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	for _, layer := range append(base, prefixed(app)) {
		var err error
		img, err = mutate.AppendLayers(img, layer.layer(b.t))
		must(b.t, err)
	}
	repository, err := name.NewRepository(b.host+"/web", name.Insecure)
	must(b.t, err)
	d, err := partial.Descriptor(img)
	must(b.t, err)
	ref := repository.Digest(d.Digest.String())
	must(b.t, remote.Write(ref, img))
	return attest.Image{
		Reference: ref, Descriptor: *d, Files: app.dir(b.t), Path: "/app",
		Platforms: []attest.Platform{{Image: img, Descriptor: *d, Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Base: attest.Material{Name: "base", URI: "oci:debian:12@sha256:00", Digest: map[string]string{"sha256": "00"}}}},
		Source: attest.Source{
			Pipeline: "web", Execution: "web-7", Stage: "Image", Action: "image", URL: "https://towline.example.com/git/web.git",
			Revision: pipeline.Revision{Repository: "web", Branch: "main", Commit: commit, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
			Artifact: pipeline.Artifact{Name: "app", Digest: "sha256:" + strings.Repeat("0", 64)}, Buildspec: "buildspec.yml",
			Image: pipeline.Image{Repository: "web", Base: "debian:12", Path: "/app", Env: map[string]string{"PASSWORD": "s3cret"}},
		},
		Say: func(format string, args ...any) { b.said = append(b.said, fmt.Sprintf(format, args...)) },
	}
}

func prefixed(app files) files {
	all := files{}
	for name, text := range app {
		all["app/"+name] = text
	}
	return all
}

func (b *bench) attest(image attest.Image) attest.Image {
	b.t.Helper()
	must(b.t, b.attestor.Attest(b.t.Context(), image))
	return image
}

func (b *bench) verify(image attest.Image, keys ...attest.PublicKey) (attest.Verified, error) {
	b.t.Helper()
	if len(keys) == 0 {
		keys = []attest.PublicKey{b.signer.Public}
	}
	return attest.Verify(b.t.Context(), attest.Wanted{Reference: image.Reference, Keys: keys})
}

// upload puts a blob into a repository.
func (b *bench) upload(repository string, digest v1.Hash, blob []byte) {
	b.t.Helper()
	answer, err := http.Post("http://"+b.host+"/v2/"+repository+"/blobs/uploads/", "", nil)
	must(b.t, err)
	must(b.t, answer.Body.Close())
	at, err := answer.Location()
	must(b.t, err)
	query := at.Query()
	query.Set("digest", digest.String())
	b.put(at.Path+"?"+query.Encode(), "application/octet-stream", blob)
}

func (b *bench) put(path, kind string, body []byte) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPut, "http://"+b.host+path, bytes.NewReader(body))
	must(b.t, err)
	req.Header.Set("Content-Type", kind)
	answer, err := http.DefaultClient.Do(req)
	must(b.t, err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(answer.Body)
		b.t.Fatalf("put %s: %s %s", path, answer.Status, text)
	}
}
