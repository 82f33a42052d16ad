package image_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
)

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
			if !strings.Contains(text, "base "+ref.String()+"@"+onDigest.String()+", linux/amd64, 1 layer\n") {
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

func TestARegistryWithAPath(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other, _ := startRegistry(t, "")
	b.action.Registry = image.Registry{Host: other + "/acme"}
	result, _ := b.run(b.job(map[string]string{"web*": "1"}, pipeline.Image{Repository: "web", Entrypoint: []string{"/app/web"}}))
	if uri := result.Variables["ImageURI"]; !strings.HasPrefix(uri, other+"/acme/web@sha256:") {
		t.Errorf("image %s", uri)
	}
}
