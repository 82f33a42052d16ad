package image_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
)

// builder makes images of nothing, and remembers what was asked of it.
type builder struct {
	t     *testing.T
	asked dockerfile.Build
	err   error
}

func (b *builder) Build(_ context.Context, asked dockerfile.Build) (dockerfile.Result, error) {
	b.asked = asked
	if b.err != nil {
		return dockerfile.Result{}, b.err
	}
	to, err := layout.Write(asked.Output, empty.Index)
	must(b.t, err)
	if len(asked.Platforms) < 2 {
		must(b.t, to.AppendImage(baseImage(b.t, "amd64", false)))
		return dockerfile.Result{Bases: []string{"a/b:1@sha256:" + strings.Repeat("0", 64)}}, nil
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: baseImage(b.t, "amd64", false)}, mutate.IndexAddendum{Add: baseImage(b.t, "arm64", false)})
	must(b.t, to.AppendIndex(index))
	return dockerfile.Result{}, nil
}

// vault is one secret.
type vault struct{}

func (vault) Secret(_ context.Context, of, name string) (string, error) {
	if name != "npm-token" {
		return "", fmt.Errorf("look: %w", &secret.Error{Message: "there is no secret " + name})
	}
	return "value for " + of, nil
}

func setupDockerfile(t *testing.T) (*bench, *builder) {
	t.Helper()
	b, made := setup(t), &builder{t: t}
	b.action.Dockerfiles, b.action.Secrets = made, vault{}
	b.action.Registry.Pull = &authn.Basic{Username: "towline", Password: "may-pull"}
	return b, made
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	b, made := setupDockerfile(t)
	job := b.job(map[string]string{"docker/Dockerfile": "FROM a\n", "src/a": "1"}, pipeline.Image{
		Repository: "web", Dockerfile: "docker/Dockerfile", Context: "src", Target: "run", Args: map[string]string{"A": "1"},
		Secrets: map[string]string{"npm": "npm-token"}, NoCache: true,
	})
	result, _ := b.run(job)
	files := filepath.Join(job.Dir, "files")
	asked := made.asked
	got := map[string]any{
		"file": asked.File, "context": asked.Context, "dir": asked.Dir, "target": asked.Target, "args": asked.Args["A"],
		"secret": string(asked.Secrets["npm"]), "no cache": asked.NoCache, "time": asked.Time, "platforms": len(asked.Platforms),
	}
	want := map[string]any{
		"file": filepath.Join(files, "docker/Dockerfile"), "context": filepath.Join(files, "src"), "dir": files, "target": "run", "args": "1",
		"secret": "value for web", "no cache": true, "time": time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC), "platforms": 0,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	cfg := config(t, b.image(result.Variables["ImageURI"]))
	if !cfg.Created.Equal(time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)) || cfg.Config.Labels["org.opencontainers.image.revision"] != commit || cfg.Config.Labels["base"] != "yes" {
		t.Errorf("config %+v, created %s", cfg.Config, cfg.Created)
	}
	for host, want := range map[string]dockerfile.Credential{b.host: {User: "towline", Password: "may-pull"}, "elsewhere.example.com": {}, "docker.io": {}} {
		if got, err := asked.Credential(t.Context(), host); err != nil || got != want {
			t.Errorf("the credential for %s is %+v, %v; want %+v", host, got, err, want)
		}
	}
}

func TestDockerfileForPlatforms(t *testing.T) {
	t.Parallel()
	b, made := setupDockerfile(t)
	result, _ := b.run(b.job(map[string]string{"Dockerfile": "FROM a\n"}, pipeline.Image{Repository: "web", Dockerfile: "Dockerfile", Platforms: []string{"linux/amd64", "linux/arm64/v8"}}))
	if d := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, made.asked.Platforms); d != "" {
		t.Errorf("platforms (-want +got):\n%s", d)
	}
	pushed, err := remote.Index(b.ref(result.Variables["ImageURI"]), b.auth())
	must(t, err)
	index, err := pushed.IndexManifest()
	must(t, err)
	if len(index.Manifests) != 2 || index.Manifests[1].Platform.Architecture != "arm64" {
		t.Errorf("index %+v", index)
	}
}

func TestDockerfileWithABaseFromALayout(t *testing.T) {
	t.Parallel()
	b, made := setupDockerfile(t)
	dir := t.TempDir()
	on := baseImage(t, "amd64", false)
	writeLayout(t, filepath.Join(dir, "jre"), on)
	writeLayout(t, filepath.Join(dir, "two"), on, baseImage(t, "arm64", false))
	must(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM jre:17\n"), 0o644))
	must(t, os.Mkdir(filepath.Join(dir, "large"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "large", "index.json"), bytes.Repeat([]byte(" "), 9<<20), 0o644))
	job := b.jobOf(dir, pipeline.Image{Repository: "web", Dockerfile: "Dockerfile", Bases: map[string]string{"jre:17": "oci:jre"}})
	b.run(job)
	digest, err := on.Digest()
	must(t, err)
	if d := cmp.Diff(map[string]dockerfile.Layout{"jre:17": {Dir: filepath.Join(job.Dir, "files", "jre"), Digest: digest.String()}}, made.asked.Layouts); d != "" {
		t.Errorf("layouts (-want +got):\n%s", d)
	}
	for place, why := range map[string]string{
		"oci:two": "bases: jre:17: oci:two has 2 images", "oci:../x": "bases: jre:17: oci:../x leads out of the artifact", "jre": "is not oci:",
		"oci:none": "bases: jre:17: the artifact has no directory none", "oci:large": "its index.json is too large",
	} {
		b.refused(b.jobOf(dir, pipeline.Image{Repository: "web", Dockerfile: "Dockerfile", Bases: map[string]string{"jre:17": place}}), why)
	}
}

func TestDockerfilesThatAreRefused(t *testing.T) {
	t.Parallel()
	secretFile := filepath.Join(t.TempDir(), "Dockerfile")
	must(t, os.WriteFile(secretFile, []byte("FROM a\n"), 0o644))
	for _, c := range []struct {
		name string
		cfg  pipeline.Image
		want string
	}{
		{"one that is not there", pipeline.Image{Dockerfile: "other"}, "dockerfile: other is not in artifact app"},
		{"one above the source", pipeline.Image{Dockerfile: "../Dockerfile"}, "leads out of the artifact"},
		{"one on the machine", pipeline.Image{Dockerfile: secretFile}, "leads out of the artifact"},
		{"a context above the source", pipeline.Image{Dockerfile: "Dockerfile", Context: "a/../.."}, "leads out of the artifact"},
		{"a context that is not there", pipeline.Image{Dockerfile: "Dockerfile", Context: "none"}, "context: none is not in artifact app"},
		{"what the Dockerfile says", pipeline.Image{Dockerfile: "Dockerfile", Base: "scratch"}, "the Dockerfile says them"},
		{"a secret that is not kept", pipeline.Image{Dockerfile: "Dockerfile", Secrets: map[string]string{"npm": "other"}}, "secrets: npm: there is no secret other"},
		{"an argument without a name", pipeline.Image{Dockerfile: "Dockerfile", Args: map[string]string{"": "1"}}, "not a name of an ARG"},
		{"an argument that no command line takes", pipeline.Image{Dockerfile: "Dockerfile", Args: map[string]string{"A": "1\x00"}}, "the value of A has a zero byte"},
		{"a stage that no command line takes", pipeline.Image{Dockerfile: "Dockerfile", Target: "\x00"}, "not a name of a stage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, _ := setupDockerfile(t)
			c.cfg.Repository = "web"
			b.refused(b.job(map[string]string{"Dockerfile": "FROM a\n", "a/b": "1"}, c.cfg), c.want)
		})
	}
	t.Run("any where none are built", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.refused(b.job(map[string]string{"Dockerfile": "FROM a\n"}, pipeline.Image{Repository: "web", Dockerfile: "Dockerfile"}), "this server builds none")
	})
	t.Run("one that the builder refuses", func(t *testing.T) {
		t.Parallel()
		b, made := setupDockerfile(t)
		made.err = dockerfile.Refuse("Dockerfile:2: no")
		b.refused(b.job(map[string]string{"Dockerfile": "FROM a\n"}, pipeline.Image{Repository: "web", Dockerfile: "Dockerfile"}), "Dockerfile:2: no")
	})
}

func TestADockerfileThatNobodyCanBuildIsAFault(t *testing.T) {
	t.Parallel()
	b, made := setupDockerfile(t)
	made.err = &dockerfile.NoWayError{Failures: []dockerfile.Failure{{Way: "buildah", Err: errors.New("it is not there")}}}
	_, err := b.action.Run(t.Context(), b.job(map[string]string{"Dockerfile": "FROM a\n"}, pipeline.Image{Repository: "web", Dockerfile: "Dockerfile"}))
	if err == nil || !strings.Contains(err.Error(), "buildah: it is not there") {
		t.Errorf("got %v", err)
	}
}

var _ image.Builder = (*builder)(nil)
