package image_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
)

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
	t.Run("an artifact with a whiteout", func(*testing.T) {
		b.refused(b.job(map[string]string{"etc/.wh.passwd": ""}, good), ".wh.passwd", "another")
	})
	t.Run("an empty artifact", func(*testing.T) {
		b.refused(b.job(nil, good), "no files")
	})
	t.Run("no artifact at all", func(*testing.T) {
		job := b.job(files, good)
		job.Inputs = nil
		b.refused(job, "no artifact")
	})
	t.Run("a bare name without a registry", func(*testing.T) {
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
		{"with an index that is huge", "index.json is too large", []v1.Image{amd64}, func(dir string) {
			text, err := os.ReadFile(filepath.Join(dir, "index.json"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "index.json"), append(text, bytes.Repeat([]byte(" "), 9<<20)...), 0o644))
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
