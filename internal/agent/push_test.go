package agent

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// program writes the beginning of an ELF file, which is what tells one apart.
func program(t *testing.T, machine elf.Machine, kind elf.ProgType, content string) string {
	t.Helper()
	var text bytes.Buffer
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	for _, part := range []any{header, elf.Prog64{Type: uint32(kind)}} {
		if err := binary.Write(&text, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	text.WriteString(content)
	path := filepath.Join(t.TempDir(), "towline")
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveRegistry counts the uploads of a registry.
func serveRegistry(t *testing.T, wrap func(http.Handler) http.Handler) (host string, uploads *atomic.Int64) {
	t.Helper()
	uploads = &atomic.Int64{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			uploads.Add(1)
		}
		inner.ServeHTTP(w, r)
	})
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), uploads
}

func pull(t *testing.T, reference string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	return img
}

func TestTheImageIsTheProgramAlone(t *testing.T) {
	t.Parallel()
	host, _ := serveRegistry(t, nil)
	path := program(t, elf.EM_AARCH64, elf.PT_LOAD, "the rest")
	reference, err := Publish(t.Context(), Target{Reference: host + "/towline/agent", Insecure: true, Executables: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	img := pull(t, reference)
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.OS != "linux" || config.Config.User != "65532:65532" || strings.Join(config.Config.Entrypoint, " ") != "/towline" {
		t.Errorf("configuration %+v", config)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	archive := tar.NewReader(content)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || header.Name != "towline" || header.Mode != 0o755 {
		t.Errorf("%s with mode %o (-want +got):\n%s", header.Name, header.Mode, diff)
	}
	if _, err := archive.Next(); err != io.EOF {
		t.Errorf("there is more in it: %v", err)
	}
}

func TestWhatIsThereIsNotPushedAgain(t *testing.T) {
	t.Parallel()
	host, uploads := serveRegistry(t, nil)
	path := program(t, elf.EM_X86_64, elf.PT_LOAD, "1")
	for _, reference := range []string{host + "/agent", host + "/agent:latest"} {
		target := Target{Reference: reference, Insecure: true, Executables: []string{path}}
		first, err := Publish(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		before := uploads.Load()
		again, err := Publish(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if first != again || uploads.Load() != before || before == 0 {
			t.Errorf("%s, then %s with %d uploads", first, again, uploads.Load()-before)
		}
		target.Executables = []string{program(t, elf.EM_X86_64, elf.PT_LOAD, "2")}
		other, err := Publish(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if other == first || uploads.Load() == before {
			t.Errorf("another program was not pushed to %s", reference)
		}
	}
}

func TestAnImageForEachArchitecture(t *testing.T) {
	t.Parallel()
	host, uploads := serveRegistry(t, nil)
	target := Target{Reference: host + "/agent:1", Insecure: true, Executables: []string{
		program(t, elf.EM_X86_64, elf.PT_LOAD, "a"), program(t, elf.EM_AARCH64, elf.PT_LOAD, "b"),
	}}
	reference, err := Publish(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	before := uploads.Load()
	if again, err := Publish(t.Context(), target); err != nil || again != reference || uploads.Load() != before {
		t.Errorf("%s, then %s with %d uploads: %v", reference, again, uploads.Load()-before, err)
	}
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
		if err != nil {
			t.Fatal(err)
		}
		if config, err := img.ConfigFile(); err != nil || config.Architecture != architecture {
			t.Errorf("for %s: %+v, %v", architecture, config, err)
		}
	}
}

func TestWhatCannotBePushedSaysHowToMendIt(t *testing.T) {
	t.Parallel()
	locked, _ := serveRegistry(t, func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "anna" || password != "right" {
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			inner.ServeHTTP(w, r)
		})
	})
	good := program(t, elf.EM_X86_64, elf.PT_LOAD, "")
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		target Target
		want   string
	}{
		{"a script", Target{Executables: []string{text}}, "no program for Linux"},
		{"a program that needs libraries", Target{Executables: []string{program(t, elf.EM_X86_64, elf.PT_INTERP, "")}}, "needs shared libraries"},
		{"a machine without a name", Target{Executables: []string{program(t, elf.EM_68K, elf.PT_LOAD, "")}}, "EM_68K"},
		{"two for one machine", Target{Executables: []string{good, good}}, "second program for linux/amd64"},
		{"a file that is not there", Target{Executables: []string{text + "x"}}, "no such file"},
		{"no reference", Target{Reference: "Agent", Executables: []string{good}}, "want a repository"},
		{"a wrong password", Target{Reference: locked + "/agent", Auth: &authn.Basic{Username: "anna", Password: "s3cret"}, Executables: []string{good}}, "sign in with docker login"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.target.Reference == "" {
				c.target.Reference = locked + "/agent"
			}
			c.target.Insecure = true
			_, err := Publish(t.Context(), c.target)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("the right password", func(t *testing.T) {
		t.Parallel()
		if _, err := Publish(t.Context(), Target{Reference: locked + "/agent", Insecure: true, Auth: &authn.Basic{Username: "anna", Password: "right"}, Executables: []string{good}}); err != nil {
			t.Error(err)
		}
	})
}
