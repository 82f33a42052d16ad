package image

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/towline/towline/internal/pipeline"
)

// FuzzReadProgram reads what somebody built: whatever it is, it is no danger.
func FuzzReadProgram(f *testing.F) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(self[:8192])
	f.Add([]byte("\x7fELF\x01\x02\x01" + strings.Repeat("\x00", 100)))
	f.Add([]byte("#!/bin/sh\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := readProgram(bytes.NewReader(b))
		if len(p.linker) > 4096 || !ok && p != (program{}) {
			t.Fatalf("%+v, %v", p, ok)
		}
	})
}

// FuzzTarget holds checkTarget to names that are safe in a URL, and to pushing
// a bare name nowhere else than to the server's registry.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"web", "team/web", "ghcr.io/acme/web", "localhost:5000/web", "web:1", "a@b/c", "../x", "A/b", "localhost/web", "own.example:80/web"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, repository string) {
		m := making{action: &Action{Registry: Registry{Host: "own.example:80"}}, cfg: pipeline.Image{Repository: repository}}
		if m.checkTarget() != nil {
			return
		}
		name := m.target.RepositoryStr()
		if !repositoryForm.MatchString(name) || !filepath.IsLocal(name) {
			t.Fatalf("%q gave the repository %q", repository, name)
		}
		if host, _, _ := strings.Cut(repository, "/"); !strings.ContainsAny(host, ".:") && host != "localhost" && m.target.RegistryStr() != "own.example:80" {
			t.Fatalf("%q goes to %s", repository, m.target.RegistryStr())
		}
	})
}

// FuzzLayout chooses a base from a layout out of somebody's build.
func FuzzLayout(f *testing.F) {
	const zero = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	f.Add(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + zero + `","size":2}]}`)
	f.Add(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"` + zero + `","size":2,"platform":{"os":"linux"}}]}`)
	f.Add(`{"manifests":null}`)
	f.Add(`[]`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, index string) {
		if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(index), 0o600); err != nil {
			t.Fatal(err)
		}
		idx, err := layout.ImageIndexFromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		check := func(d v1.Descriptor) error { return checkBlob(layout.Path(dir), d) }
		if _, _, err := choose(idx, v1.Platform{OS: "linux", Architecture: "amd64"}, check); err == nil {
			t.Fatal("an image without its blobs was chosen")
		}
	})
}
