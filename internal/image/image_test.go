package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
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
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
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

// baseImage is a base with one random layer.
func baseImage(t testing.TB, arch string, docker bool) v1.Image {
	t.Helper()
	img, err := random.Image(1000, 1)
	must(t, err)
	cfg := config(t, img).DeepCopy()
	cfg.OS, cfg.Architecture = "linux", arch
	cfg.Config = v1.Config{Env: []string{"PATH=/opt/java/bin", "LANG=C"}, Entrypoint: []string{"/base"}, Cmd: []string{"serve"}, User: "java",
		WorkingDir: "/srv", Labels: map[string]string{"base": "yes", "org.opencontainers.image.revision": "base's"}}
	img, err = mutate.ConfigFile(img, cfg)
	must(t, err)
	if !docker {
		img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	return img
}

func TestOnABaseInARegistry(t *testing.T) {
	t.Parallel()
	for _, docker := range []bool{false, true} {
		t.Run(map[bool]string{false: "of OCI's form", true: "of Docker's form"}[docker], func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			other, _ := startRegistry(t, "") // as Docker Hub would be: elsewhere, for all
			on := baseImage(t, "amd64", docker)
			onDigest, err := on.Digest()
			must(t, err)
			ref, err := name.ParseReference(other + "/library/jre:17")
			must(t, err)
			must(t, remote.Write(ref, on))
			result, text := b.run(b.job(map[string]string{"web.jar": "PK"}, pipeline.Image{
				Repository: "web", Base: ref.String(), Path: "/usr/share/web", Entrypoint: []string{"java", "-jar", "/usr/share/web/web.jar"},
				Env: map[string]string{"LANG": "C.UTF-8"}, Platforms: []string{"linux/amd64"},
			}))
			img := b.image(result.Variables["ImageURI"])
			if d := cmp.Diff([]string{"drwxr-xr-x usr/share/web/", "-rw-r--r-- usr/share/web/web.jar"}, listing(t, img)); d != "" {
				t.Errorf("layer (-want +got):\n%s", d)
			}
			want := v1.Config{
				Entrypoint: []string{"java", "-jar", "/usr/share/web/web.jar"}, User: "java", WorkingDir: "/srv", Env: []string{"PATH=/opt/java/bin", "LANG=C.UTF-8"},
				Labels: map[string]string{"base": "yes", "org.opencontainers.image.revision": commit, "org.opencontainers.image.source": "web",
					"org.opencontainers.image.created":     "2026-03-01T11:00:00Z",
					"org.opencontainers.image.base.digest": onDigest.String(), "org.opencontainers.image.base.name": ref.Name()},
			}
			if d := cmp.Diff(want, config(t, img).Config); d != "" {
				t.Errorf("config (-want +got):\n%s", d)
			}
			m, err := img.Manifest()
			must(t, err)
			wantMedia := map[bool][2]types.MediaType{false: {types.OCIManifestSchema1, types.OCILayer}, true: {types.DockerManifestSchema2, types.DockerLayer}}[docker]
			if got := [2]types.MediaType{m.MediaType, m.Layers[1].MediaType}; got != wantMedia {
				t.Errorf("media types %v; want %v", got, wantMedia)
			}
			if !strings.Contains(text, "base "+ref.String()+"@"+onDigest.String()+", linux/amd64, 1 layers") {
				t.Errorf("the log does not name the base:\n%s", text)
			}
		})
	}
}

// writeLayout makes an OCI layout directory.
func writeLayout(t testing.TB, dir string, images ...v1.Image) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	p, err := layout.Write(dir, empty.Index)
	must(t, err)
	for _, img := range images {
		must(t, p.AppendImage(img))
	}
}

func TestOnALayoutInTheArtifact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "jre"), baseImage(t, "amd64", false), baseImage(t, "arm64", false))
	must(t, os.WriteFile(filepath.Join(dir, "web.jar"), []byte("PK"), 0o644))
	result, _ := b.run(b.jobOf(dir, pipeline.Image{Repository: "web", Base: "oci:jre", Platforms: []string{"linux/arm64/v8"}}))
	img := b.image(result.Variables["ImageURI"])
	if d := cmp.Diff([]string{"drwxr-xr-x app/", "-rw-r--r-- app/web.jar"}, listing(t, img)); d != "" {
		t.Errorf("the layout is in the layer (-want +got):\n%s", d)
	}
	if cfg := config(t, img); cfg.Architecture != "arm64" || !slices.Equal(cfg.Config.Entrypoint, []string{"/base"}) {
		t.Errorf("config %+v", cfg)
	}
}

func TestOnALayoutOfTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bases, elsewhere := t.TempDir(), t.TempDir()
	writeLayout(t, filepath.Join(bases, "jre"), baseImage(t, "amd64", false))
	writeLayout(t, filepath.Join(elsewhere, "jre"), baseImage(t, "amd64", false))
	must(t, os.Symlink(elsewhere, filepath.Join(bases, "way-out")))
	b.action.BaseDirs = []string{bases}
	b.run(b.job(map[string]string{"a": "1"}, pipeline.Image{Repository: "web", Base: "oci:" + filepath.Join(bases, "jre"), Platforms: []string{"linux/amd64"}}))
	for _, dir := range []string{filepath.Join(elsewhere, "jre"), bases + "/../" + filepath.Base(elsewhere) + "/jre", filepath.Join(bases, "way-out/jre"), bases + "x"} {
		b.refused(b.job(map[string]string{"a": "1"}, pipeline.Image{Repository: "web", Base: "oci:" + dir}), "not in a directory that this server takes bases from")
	}
}

// refused runs a job that must end as Failed, with these words.
func (b *bench) refused(job pipeline.Job, words ...string) {
	b.t.Helper()
	result, err := b.action.Run(b.t.Context(), job)
	if err != nil {
		b.t.Errorf("error %v; want Failed with %q", err, words)
		return
	}
	for _, w := range words {
		if result.Outcome != pipeline.Failed || !strings.Contains(result.Message, w) {
			b.t.Errorf("%s: %q; want Failed with %q", result.Outcome, result.Message, w)
		}
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "jre"), baseImage(t, "amd64", false), baseImage(t, "arm64", false))
	must(t, os.WriteFile(filepath.Join(dir, "web.jar"), []byte("PK"), 0o644))
	cfg := pipeline.Image{Repository: "web", Base: "oci:jre", Platforms: []string{"linux/amd64", "linux/arm64", "linux/amd64"}}
	job := b.jobOf(dir, cfg)
	result, _ := b.run(job)
	idx, err := remote.Index(b.ref(result.Variables["ImageURI"]), b.auth())
	must(t, err)
	must(t, validate.Index(idx))
	m, err := idx.IndexManifest()
	must(t, err)
	platforms, last := []string{}, map[v1.Hash]bool{}
	for _, d := range m.Manifests {
		platforms = append(platforms, d.Platform.String())
		img, err := idx.Image(d.Digest)
		must(t, err)
		layers, err := img.Layers()
		must(t, err)
		digest, err := layers[len(layers)-1].Digest()
		must(t, err)
		last[digest] = true
	}
	if d := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); d != "" || len(last) != 1 {
		t.Errorf("platforms (-want +got):\n%s\nlayers %v; want one", d, last)
	}
	b.writes.take()
	again, _ := b.run(job)
	if w := b.writes.take(); again.Variables["ImageDigest"] != result.Variables["ImageDigest"] || len(w) > 0 {
		t.Errorf("the same job gave %s and wrote %v", again.Variables["ImageDigest"], w)
	}
	cfg.Platforms = append(cfg.Platforms, "linux/s390x")
	b.refused(b.jobOf(dir, cfg), "has no image for linux/s390x; it has linux/amd64, linux/arm64")
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files := map[string]string{"web*": "1", "not-a-layout/x": "1"}
	good := pipeline.Image{Repository: "web", Entrypoint: []string{"/app/web"}}
	private, _ := startRegistry(t, "other")
	cases := []struct {
		name string
		edit func(*pipeline.Image)
		want string
	}{
		{"a missing entrypoint on scratch", func(c *pipeline.Image) { c.Entrypoint = nil }, "entrypoint: [/app/web]"},
		{"a missing repository", func(c *pipeline.Image) { c.Repository = "" }, "repository: is missing"},
		{"a repository in upper case", func(c *pipeline.Image) { c.Repository = "Web" }, "lower-case"},
		{"a repository that climbs out", func(c *pipeline.Image) { c.Repository = "a/../../b" }, "not the name of a repository"},
		{"a repository with a tag", func(c *pipeline.Image) { c.Repository = "ghcr.io/acme/web:latest" }, "leave it out"},
		{"a bare repository with a tag", func(c *pipeline.Image) { c.Repository = "web:latest" }, "leave it out"},
		{"an unknown artifact", func(c *pipeline.Image) { c.Artifact = "nope" }, `no input artifact "nope"; it has "source", "app"`},
		{"a relative path", func(c *pipeline.Image) { c.Path = "app" }, "not an absolute path"},
		{"a port that is none", func(c *pipeline.Image) { c.Ports = []int{70000} }, "70000 is not a TCP port"},
		{"a variable that is none", func(c *pipeline.Image) { c.Env = map[string]string{"A=B": "1"} }, "not a name"},
		{"a platform that is none", func(c *pipeline.Image) { c.Platforms = []string{"amd64"} }, "not a platform"},
		{"Windows", func(c *pipeline.Image) { c.Platforms = []string{"windows/amd64"} }, "not a platform"},
		{"a base that is no reference", func(c *pipeline.Image) { c.Base = "No Such Thing" }, "neither scratch"},
		{"a base that does not exist", func(c *pipeline.Image) { c.Base = b.host + "/nope:1" }, "/nope:1 does not exist: its registry said 404 MANIFEST_UNKNOWN"},
		{"a base that is private", func(c *pipeline.Image) { c.Base = private + "/jre:17" }, "docker login " + private},
		{"a layout that climbs out", func(c *pipeline.Image) { c.Base = "oci:../x" }, "leads out of the artifact"},
		{"a layout that is the artifact", func(c *pipeline.Image) { c.Base = "oci:./" }, "is the whole artifact"},
		{"a layout that is missing", func(c *pipeline.Image) { c.Base = "oci:jre" }, "the artifact has no directory jre"},
		{"a layout that is none", func(c *pipeline.Image) { c.Base = "oci:not-a-layout" }, "is not an OCI layout directory"},
		{"a layout on the server", func(c *pipeline.Image) { c.Base = "oci:/etc" }, "takes no bases from there"},
		{"a push that is not allowed", func(c *pipeline.Image) { c.Repository = private + "/web" }, "refused the push to " + private + "/web and said 401"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			c.edit(&cfg)
			on := *b
			on.t = t
			on.refused(on.job(files, cfg), c.want)
		})
	}
	t.Run("an artifact with a whiteout", func(t *testing.T) {
		b.refused(b.job(map[string]string{"etc/.wh.passwd": ""}, good), ".wh.passwd", "another")
	})
	t.Run("an empty artifact", func(t *testing.T) {
		b.refused(b.job(nil, good), "no files")
	})
	t.Run("no artifact at all", func(t *testing.T) {
		job := b.job(files, good)
		job.Inputs = nil
		b.refused(job, "no artifact")
	})
	t.Run("a bare name without a registry", func(t *testing.T) {
		on := *b
		on.action = &image.Action{Artifacts: b.store}
		on.refused(b.job(files, good), "names no registry")
	})
}

func TestRefusesLayouts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg := pipeline.Image{Repository: "web", Base: "oci:jre", Platforms: []string{"linux/amd64"}}
	amd64 := baseImage(t, "amd64", false)
	manifest, err := amd64.Digest()
	must(t, err)
	cases := []struct {
		name, want string
		images     []v1.Image
		damage     func(dir string)
	}{
		{"of another platform", "has no image for linux/amd64; it has linux/arm64", []v1.Image{baseImage(t, "arm64", false)}, nil},
		{"with two images that fit", "has 2 images for linux/amd64", []v1.Image{amd64, baseImage(t, "amd64", false)}, nil},
		{"without an image", "it has none", nil, nil},
		{"with a manifest that was changed", "is damaged", []v1.Image{amd64}, func(dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "blobs/sha256", manifest.Hex), []byte("{}"), 0o644))
		}},
		{"with a manifest that is missing", "cannot be read", []v1.Image{amd64}, func(dir string) {
			must(t, os.Remove(filepath.Join(dir, "blobs/sha256", manifest.Hex)))
		}},
		{"with a manifest that is huge", "too large", []v1.Image{amd64}, func(dir string) {
			must(t, os.Truncate(filepath.Join(dir, "blobs/sha256", manifest.Hex), 100<<20))
		}},
		{"with an index that is no JSON", "cannot be read", []v1.Image{amd64}, func(dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte("{"), 0o644))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o644))
			writeLayout(t, filepath.Join(dir, "jre"), c.images...)
			if c.damage != nil {
				c.damage(filepath.Join(dir, "jre"))
			}
			b.refused(b.jobOf(dir, cfg), c.want)
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	good := pipeline.Image{Repository: "web", Entrypoint: []string{"/app/web"}}
	files := map[string]string{"web*": "1"}
	fault := func(t *testing.T, b *bench, job pipeline.Job, words ...string) {
		t.Helper()
		result, err := b.action.Run(t.Context(), job)
		if err == nil {
			t.Fatalf("%s: %s; want an error", result.Outcome, result.Message)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %v; want one with %q", err, w)
			}
		}
		if left, _ := os.ReadDir(job.Dir); len(left) > 0 {
			t.Errorf("left in the job's directory: %v", left)
		}
	}
	t.Run("the embedded registry does not know the server's token", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.action.Registry.Auth = &authn.Basic{Username: "towline", Password: "old"}
		fault(t, b, b.job(files, good), "the server's own token", "401")
	})
	t.Run("the artifact is gone", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		job := b.job(files, good)
		job.Inputs = job.Inputs[:1]
		fault(t, b, job, "not in the store any more", "start the pipeline anew")
	})
	t.Run("the base's registry does not answer", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		srv := httptest.NewServer(nil)
		dead := strings.TrimPrefix(srv.URL, "http://")
		srv.Close()
		cfg := good
		cfg.Base = dead + "/jre:17"
		fault(t, b, b.job(files, cfg), "pull base "+dead+"/jre:17", "oci:PATH")
	})
	t.Run("the registry's disk is full", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/v2/":
			case r.Method == http.MethodPost:
				w.WriteHeader(http.StatusInsufficientStorage)
				io.WriteString(w, `{"errors":[{"code":"DISK_FULL","message":"no space left"}]}`)
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		defer srv.Close()
		b.action.Registry.Host = strings.TrimPrefix(srv.URL, "http://")
		fault(t, b, b.job(files, good), "507 DISK_FULL: no space left")
	})
	t.Run("it is stopped", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		stop := errors.New("stopped by hand")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stop)
		if _, err := b.action.Run(ctx, b.job(files, good)); !errors.Is(err, stop) {
			t.Errorf("error %v; want the cause", err)
		}
	})
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	foreign := map[string]string{"amd64": "linux/arm64", "arm64": "linux/amd64"}[runtime.GOARCH]
	cases := []struct {
		name  string
		files map[string]string
		cfg   pipeline.Image
		want  string // nothing means no warning
	}{
		{"a script", map[string]string{"web*": "#!"}, pipeline.Image{Entrypoint: []string{"/app/web"}}, ""},
		{"a program for this processor", map[string]string{"web*": string(program)}, pipeline.Image{Entrypoint: []string{"/app/web"}}, ""},
		{"a program for another one", map[string]string{"web*": string(program)}, pipeline.Image{Entrypoint: []string{"/app/web"}, Platforms: []string{foreign}}, "is built for"},
		{"a program that needs a linker", map[string]string{"web*": dynamic()}, pipeline.Image{Entrypoint: []string{"/app/web"}, Platforms: []string{"linux/amd64"}}, "needs /lib64/ld.so"},
		{"a file that is missing", map[string]string{"web*": "1"}, pipeline.Image{Entrypoint: []string{"/app/wbe"}}, "is not in the image; the artifact's files are in /app"},
		{"a file that is not executable", map[string]string{"web": "1"}, pipeline.Image{Entrypoint: []string{"/app/web"}}, "chmod +x"},
		{"a directory", map[string]string{"web/x": "1"}, pipeline.Image{Entrypoint: []string{"/app/web"}}, "not a file"},
		{"a path from the working directory", map[string]string{"bin/web*": "1"}, pipeline.Image{Entrypoint: []string{"bin/web"}}, ""},
		{"a link", map[string]string{"current@": "bin/web", "bin/web*": "1"}, pipeline.Image{Entrypoint: []string{"./current"}}, ""},
		{"a name that PATH finds", map[string]string{"web*": "1"}, pipeline.Image{Entrypoint: []string{"web"}, Env: map[string]string{"PATH": "/bin:/app"}}, ""},
		{"a name that PATH does not find", map[string]string{"web*": "1"}, pipeline.Image{Entrypoint: []string{"web"}}, "is not in the image"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.cfg.Repository = "web"
			_, text := b.run(b.job(c.files, c.cfg))
			if got := strings.Contains(text, "warning: "); got != (c.want != "") || !strings.Contains(text, c.want) {
				t.Errorf("want a warning with %q:\n%s", c.want, text)
			}
		})
	}
}

// dynamic is the smallest ELF program that names a dynamic linker.
func dynamic() string {
	const linker = "/lib64/ld.so\x00"
	b := make([]byte, 64+56, 64+56+len(linker))
	copy(b, "\x7fELF\x02\x01\x01")
	b[16], b[18], b[20] = 2, 62, 1                                          // executable, x86-64, version
	b[32], b[52], b[54], b[56], b[58] = 64, 64, 56, 1, 64                   // program headers at 64, one of 56 bytes
	b[64] = 3                                                               // PT_INTERP
	b[64+8], b[64+32], b[64+40] = 120, byte(len(linker)), byte(len(linker)) // where it is
	return string(append(b, linker...))
}

func TestStore(t *testing.T) {
	t.Parallel()
	var _ image.Unpacker = (*artifact.Store)(nil)
	if !errors.Is(artifact.ErrNotFound, fs.ErrNotExist) {
		t.Error("the store's error for a missing artifact is not the one that image knows")
	}
}

// BenchmarkImage is a service of 12 MB of program and 2 MB of assets from
// scratch: cold is new bytes each time, warm is the same job again.
func BenchmarkImage(b *testing.B) {
	for _, warm := range []bool{false, true} {
		b.Run(map[bool]string{false: "cold", true: "warm"}[warm], func(b *testing.B) {
			on := setup(b)
			self, err := os.Executable()
			must(b, err)
			program, err := os.ReadFile(self)
			must(b, err)
			program = program[:12<<20]
			files := map[string]string{"static/all.js": strings.Repeat("function f() { return 42 }\n", 70000)}
			cfg := pipeline.Image{Repository: "web", Entrypoint: []string{"/app/web"}}
			next := func(i int) pipeline.Job {
				copy(program[1<<20:], time.Duration(i).String()+b.Name())
				changed := maps.Clone(files)
				changed["web*"] = string(program)
				return on.job(changed, cfg)
			}
			job := next(0)
			on.run(job)
			b.ReportAllocs()
			for i := range b.N {
				if !warm {
					b.StopTimer()
					job = next(i + 1)
					b.StartTimer()
				}
				on.run(job)
			}
		})
	}
}

// BenchmarkChangedJar is an application's jar of 1 MB changed on a base of
// 60 MB in an OCI layout of the server.
func BenchmarkChangedJar(b *testing.B) {
	on := setup(b)
	bases := b.TempDir()
	big, err := random.Image(60<<20, 1)
	must(b, err)
	file := config(b, big).DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	big, err = mutate.ConfigFile(big, file)
	must(b, err)
	writeLayout(b, filepath.Join(bases, "jre"), mutate.ConfigMediaType(mutate.MediaType(big, types.OCIManifestSchema1), types.OCIConfigJSON))
	on.action.BaseDirs = []string{bases}
	next := func(i int) pipeline.Job {
		jar := make([]byte, 1<<20)
		for k := range jar {
			jar[k] = byte(k * (i + 7) >> 3)
		}
		return on.job(map[string]string{"web.jar": string(jar)}, pipeline.Image{
			Repository: "web", Base: "oci:" + filepath.Join(bases, "jre"), Entrypoint: []string{"java", "-jar", "/app/web.jar"}})
	}
	on.run(next(0))
	for i := range b.N {
		b.StopTimer()
		job := next(i + 1)
		b.StartTimer()
		on.run(job)
	}
}
