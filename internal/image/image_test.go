package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/registry"
)

const commit = "3f9c2e1a5b6c7d8e9f00112233445566778899aa"

// bench is an action with a real store and a real registry behind HTTP.
type bench struct {
	t      testing.TB
	action *image.Action
	store  *artifact.Store
	host   string
	writes *writes
}

// writes records the requests that change the registry.
type writes struct {
	mu   sync.Mutex
	list []string
}

func (w *writes) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

func setup(t testing.TB) *bench {
	t.Helper()
	store, err := artifact.Open(t.Context(), t.TempDir())
	must(t, err)
	t.Cleanup(func() { store.Close() })
	host, seen := startRegistry(t, "secret")
	return &bench{t: t, store: store, host: host, writes: seen, action: &image.Action{
		Artifacts: store,
		Registry:  image.Registry{Host: host, Insecure: true, Auth: &authn.Basic{Username: "towline", Password: "secret"}},
		Keychain:  authn.NewMultiKeychain(),
	}}
}

func startRegistry(t testing.TB, token string) (host string, seen *writes) {
	t.Helper()
	reg, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: func(r *http.Request, _ string, _ bool) bool {
		_, password, _ := r.BasicAuth()
		return token == "" || password == token
	}})
	must(t, err)
	seen = &writes{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			seen.mu.Lock()
			seen.list = append(seen.list, r.Method+" "+r.URL.Path)
			seen.mu.Unlock()
		}
		reg.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		srv.Close()
		must(t, reg.Close())
	})
	return strings.TrimPrefix(srv.URL, "http://"), seen
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// job is a job with the files as its artifact. A name that ends in * is an
// executable, one in @ a link.
func (b *bench) job(files map[string]string, cfg pipeline.Image) pipeline.Job {
	b.t.Helper()
	dir := b.t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, strings.TrimRight(name, "*@"))
		must(b.t, os.MkdirAll(filepath.Dir(full), 0o755))
		switch {
		case strings.HasSuffix(name, "@"):
			must(b.t, os.Symlink(text, full))
		case strings.HasSuffix(name, "*"):
			must(b.t, os.WriteFile(full, []byte(text), 0o755))
		default:
			must(b.t, os.WriteFile(full, []byte(text), 0o640))
		}
	}
	return b.jobOf(dir, cfg)
}

func (b *bench) jobOf(dir string, cfg pipeline.Image) pipeline.Job {
	b.t.Helper()
	digest, size, err := b.store.Pack(b.t.Context(), dir, nil)
	must(b.t, err)
	raw, err := json.Marshal(cfg)
	must(b.t, err)
	return pipeline.Job{
		Pipeline: "web", Execution: "web-2", Number: 2, Stage: "Image", Attempt: 1,
		Revision:      pipeline.Revision{Repository: "web", Branch: "main", Commit: commit, Time: time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("", 3600))},
		Configuration: raw,
		Inputs:        []pipeline.Artifact{{Name: "source", Digest: "sha256:" + strings.Repeat("0", 64)}, {Name: "app", Digest: digest, Size: size}},
		Dir:           b.t.TempDir(),
		Log:           &bytes.Buffer{},
	}
}

// run runs a job that must succeed, and pulls what it made.
func (b *bench) run(job pipeline.Job) (pipeline.Result, string) {
	b.t.Helper()
	result, err := b.action.Run(b.t.Context(), job)
	must(b.t, err)
	text := logOf(job)
	if result.Outcome != pipeline.Succeeded {
		b.t.Fatalf("outcome %s: %s\n%s", result.Outcome, result.Message, text)
	}
	if left, _ := os.ReadDir(job.Dir); len(left) > 0 {
		b.t.Errorf("left in the job's directory: %v", left)
	}
	return result, text
}

func logOf(job pipeline.Job) string { return job.Log.(*bytes.Buffer).String() }

// ref names something in the registry; image and index pull it.
func (b *bench) ref(text string) name.Reference {
	b.t.Helper()
	if !strings.HasPrefix(text, b.host) {
		text = b.host + "/" + text
	}
	ref, err := name.ParseReference(text, name.Insecure)
	must(b.t, err)
	return ref
}

func (b *bench) auth() remote.Option { return remote.WithAuth(b.action.Registry.Auth) }

func (b *bench) image(text string) v1.Image {
	b.t.Helper()
	img, err := remote.Image(b.ref(text), b.auth())
	must(b.t, err)
	must(b.t, validate.Image(img))
	return img
}

func config(t testing.TB, img v1.Image) *v1.ConfigFile {
	t.Helper()
	cfg, err := img.ConfigFile()
	must(t, err)
	return cfg
}

// listing is the last layer of an image: name, kind, mode, owner, time, link.
func listing(t testing.TB, img v1.Image) []string {
	t.Helper()
	layers, err := img.Layers()
	must(t, err)
	r, err := layers[len(layers)-1].Uncompressed()
	must(t, err)
	defer r.Close()
	var lines []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		must(t, err)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 0 {
			t.Errorf("%s belongs to %d:%d %q and is of %s", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
		line := h.FileInfo().Mode().String() + " " + h.Name
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		lines = append(lines, line)
	}
}

func TestFromScratch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := b.job(map[string]string{"web*": "#!/bin/true", "static/a.css": "a{}", "static/current@": "a.css"}, pipeline.Image{
		Repository: "team/web", Entrypoint: []string{"/app/web"}, Ports: []int{8080}, Env: map[string]string{"B": "2", "A": "1"},
	})
	var progress []string
	job.Progress = func(line string) { progress = append(progress, line) }
	result, text := b.run(job)

	img := b.image("team/web:2")
	digest, err := img.Digest()
	must(t, err)
	want := map[string]string{"ImageURI": b.host + "/team/web@" + digest.String(), "ImageDigest": digest.String(), "ImageTag": "2"}
	if d := cmp.Diff(want, result.Variables); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
	if want := "team/web@" + digest.String()[:13] + "\u2026 "; !strings.HasPrefix(result.Summary, want) {
		t.Errorf("summary %q; want %q and a size", result.Summary, want)
	}
	if got, _ := b.image("team/web:3f9c2e1").Digest(); got != digest {
		t.Errorf("the commit's tag is %s", got)
	}
	files := []string{"drwxr-xr-x app/", "drwxr-xr-x app/static/", "-rw-r--r-- app/static/a.css", "Lrwxrwxrwx app/static/current -> a.css", "-rwxr-xr-x app/web"}
	if d := cmp.Diff(files, listing(t, img)); d != "" {
		t.Errorf("layer (-want +got):\n%s", d)
	}
	cfg := config(t, img)
	gotConfig := v1.Config{
		Entrypoint: []string{"/app/web"}, User: "65532:65532", WorkingDir: "/app", Env: []string{"A=1", "B=2"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		Labels: map[string]string{"org.opencontainers.image.revision": commit, "org.opencontainers.image.source": "web",
			"org.opencontainers.image.created": "2026-03-01T11:00:00Z"},
	}
	if d := cmp.Diff(gotConfig, cfg.Config); d != "" {
		t.Errorf("config (-want +got):\n%s", d)
	}
	if cfg.OS != "linux" || cfg.Architecture != runtime.GOARCH {
		t.Errorf("platform %s/%s", cfg.OS, cfg.Architecture)
	}
	if media, _ := img.MediaType(); media != types.OCIManifestSchema1 {
		t.Errorf("media type %s", media)
	}
	for _, want := range []string{"base scratch", "layer /app: 3 files", " pushed\n", "image " + b.host + "/team/web@sha256:"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "warning") {
		t.Errorf("a warning without reason:\n%s", text)
	}
	if !slices.ContainsFunc(progress, func(line string) bool { return strings.HasPrefix(line, "push ") }) {
		t.Errorf("progress %q", progress)
	}
}

func TestTheSameAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files := map[string]string{"web*": "1", "lib/x": "2"}
	cfg := pipeline.Image{Repository: "web", Entrypoint: []string{"/app/web"}}
	job := b.job(files, cfg)
	first, _ := b.run(job)
	b.writes.take()

	t.Run("the same job pushes nothing new", func(t *testing.T) {
		again, text := b.run(job)
		if d := cmp.Diff(first, again); d != "" {
			t.Errorf("result (-first +again):\n%s", d)
		}
		if w := b.writes.take(); len(w) != 0 {
			t.Errorf("requests that write: %v", w)
		}
		if !strings.Contains(text, "already there") {
			t.Errorf("log:\n%s", text)
		}
	})
	t.Run("what a killed attempt left does no harm", func(t *testing.T) {
		must(t, os.MkdirAll(filepath.Join(job.Dir, "files", "junk"), 0o755))
		must(t, os.WriteFile(filepath.Join(job.Dir, "files", "web"), []byte("half"), 0o644))
		must(t, os.WriteFile(filepath.Join(job.Dir, "layer.tar.gz"), []byte("half"), 0o644))
		again, _ := b.run(job)
		if d := cmp.Diff(first.Variables, again.Variables); d != "" {
			t.Errorf("(-first +again):\n%s", d)
		}
	})
	t.Run("another execution of the commit only adds a tag", func(t *testing.T) {
		other := b.job(files, cfg)
		other.Number = 3
		b.writes.take()
		again, _ := b.run(other)
		if first.Variables["ImageDigest"] != again.Variables["ImageDigest"] {
			t.Errorf("digests %s and %s", first.Variables["ImageDigest"], again.Variables["ImageDigest"])
		}
		if d := cmp.Diff([]string{"PUT /v2/web/manifests/3"}, b.writes.take()); d != "" {
			t.Errorf("requests that write (-want +got):\n%s", d)
		}
	})
	t.Run("another commit shares the layer", func(t *testing.T) {
		other := b.job(files, cfg)
		other.Number, other.Revision.Commit = 4, strings.Repeat("b", 40)
		again, text := b.run(other)
		if first.Variables["ImageDigest"] == again.Variables["ImageDigest"] {
			t.Error("the label of the commit is not in the image")
		}
		if !strings.Contains(text, "already there") || strings.Contains(text, " pushed\n") {
			t.Errorf("log:\n%s", text)
		}
	})
}

func TestStore(t *testing.T) {
	t.Parallel()
	var _ image.Unpacker = (*artifact.Store)(nil)
	if !errors.Is(artifact.ErrNotFound, fs.ErrNotExist) {
		t.Error("the store's error for a missing artifact is not the one that image knows")
	}
}
