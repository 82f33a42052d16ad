package buildkit

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSyntax(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, want string
		builtIn          bool
	}{
		{"none", "FROM scratch\n", "", false},
		{"the stable one", "# syntax=docker/dockerfile:1\nFROM scratch\n", "docker/dockerfile:1", true},
		{"a version of it", "#syntax = docker.io/docker/dockerfile:1.7.0\nFROM scratch\n", "docker.io/docker/dockerfile:1.7.0", true},
		{"behind a byte order mark", "\xef\xbb\xbf# syntax=docker/dockerfile:1\n", "docker/dockerfile:1", true},
		{"one of the laboratory", "# syntax=docker/dockerfile:1.7-labs\n", "docker/dockerfile:1.7-labs", false},
		{"one by digest", "# syntax=docker/dockerfile:1@sha256:00\n", "docker/dockerfile:1@sha256:00", false},
		{"somebody else's", "# syntax=ghcr.io/acme/dockerfile:1\n", "ghcr.io/acme/dockerfile:1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "Dockerfile")
			if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := syntaxOf(file)
			if err != nil || got != c.want || isBuiltIn(got) != c.builtIn {
				t.Errorf("got %q, built in %v, %v", got, isBuiltIn(got), err)
			}
		})
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"unix:///run/buildkit/buildkitd.sock": true, "tcp://10.0.0.7:1234": true, "tcp://builder.example.com:1234": true,
		"": false, "tcp://10.0.0.7": false, "unix://buildkitd.sock": false, "http://10.0.0.7:80": false, "10.0.0.7:1234": false, "tcp://a:1/b": false,
	} {
		if err := CheckAddress(address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
}
