package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheVersionIsThatOfTheModule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../buildkitd/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "github.com/moby/buildkit "+version+"\n") && !strings.Contains(string(text), "github.com/moby/buildkit "+version+" ") {
		t.Errorf("buildkitd/go.mod does not require BuildKit %s", version)
	}
}

func TestInstalled(t *testing.T) {
	for _, c := range []struct{ name, says, want string }{
		{"a new one", "buildkitd github.com/moby/buildkit v0.21.1 abc", ""},
		{"one of after version 1", "buildkitd github.com/moby/buildkit v1.0.0 abc", ""},
		{"an old one", "buildkitd github.com/moby/buildkit v0.12.5 abc", "0.13 or newer"},
		{"one of no version", "buildkitd", "does not say"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := script(t, "buildkitd", "echo '"+c.says+"'")
			got, err := installed(t.Context())
			switch {
			case c.want == "" && (err != nil || got != file):
				t.Errorf("got %q, %v", got, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v; want %q", err, c.want)
			}
		})
	}
}

func TestFindSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Finder{Cache: t.TempDir(), Source: "../../../buildkitd"}.Find(t.Context(), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "buildkitd is not on PATH") || !strings.Contains(err.Error(), "go, to compile it") {
		t.Errorf("got %v", err)
	}
}

// script puts a program on PATH.
func script(t *testing.T, name, text string) (file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return file
}

func TestWhatIsInstalledNeedsNoCache(t *testing.T) {
	file := script(t, "buildkitd", "echo buildkitd github.com/moby/buildkit v0.21.1 abc")
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	got, err := Finder{Source: "../../../buildkitd"}.Find(t.Context(), func(string) {})
	if err != nil || got != file {
		t.Errorf("got %q, %v; want %q", got, err, file)
	}
	t.Setenv("PATH", t.TempDir())
	_, err = Finder{Source: "../../../buildkitd"}.Find(t.Context(), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "buildkitd is not on PATH, and it cannot be compiled: there is no cache directory") {
		t.Errorf("got %v", err)
	}
}

func TestTheCompilerSeesNoSecretsOfTheServer(t *testing.T) {
	script(t, "go", "env; exit 1")
	t.Setenv("DATABASE_URL", "postgres://towline:hush@db/towline")
	t.Setenv("GOPROXY", "https://modules.example.com")
	t.Setenv("GOFLAGS", "-mod=vendor")
	_, err := Finder{Cache: t.TempDir(), Source: "../../../buildkitd"}.Find(t.Context(), func(string) {})
	if err == nil {
		t.Fatal("it was compiled by a program that fails")
	}
	for text, want := range map[string]bool{"hush": false, "vendor": false, "GOPROXY=https://modules.example.com": true, "HOME=": true, "CGO_ENABLED=0": true} {
		if strings.Contains(err.Error(), text) != want {
			t.Errorf("%q is in the environment: %v\n%v", text, !want, err)
		}
	}
}
