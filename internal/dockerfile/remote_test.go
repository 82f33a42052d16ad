package dockerfile_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/buildkit"
)

func TestABuildKitAtAnAddress(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	host := startRegistry(t, "")
	d := daemonIn(dir, program(t), host)
	t.Cleanup(d.Close)
	_, release, err := d.Use(t.Context(), func(string) {})
	must(t, err)
	defer release()
	remote := &buildkit.Remote{Address: "unix://" + filepath.Join(dir, "run", "buildkitd.sock")}
	p := place{t, dockerfile.NewBuilder(slog.New(slog.DiscardHandler), remote), host, ""}
	b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN echo there > /file\n"})
	if got := files(t, p.made(b, said))["file"]; got != "there\n" || !strings.HasPrefix(said.String(), "built by the BuildKit at unix:///") {
		t.Errorf("the file is %q\n%s", got, said)
	}
}

func TestTheStableSyntaxNeedsNoNetwork(t *testing.T) {
	host := startRegistry(t, "")
	// Docker Hub is never reached: its name leads nowhere by this proxy.
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	p := place{t, dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &buildkit.Own{Daemon: newDaemon(t, host)}), host, ""}
	b, said := p.build(map[string]string{"Dockerfile": "# syntax=docker/dockerfile:1\nFROM BASE\nRUN echo there > /file\n"})
	if got := files(t, p.made(b, said))["file"]; got != "there\n" {
		t.Errorf("the file is %q\n%s", got, said)
	}
	for _, want := range []string{`warning: the Dockerfile's line "# syntax=docker/dockerfile:1" has BuildKit fetch`, "going on with what BuildKit has built in"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, said)
		}
	}
	b, _ = p.build(map[string]string{"Dockerfile": "# syntax=docker/dockerfile:1-labs\nFROM BASE\n"})
	if _, err := p.builder.Build(t.Context(), b); err == nil || !strings.Contains(err.Error(), "Dockerfile:1: # syntax=docker/dockerfile:1-labs") {
		t.Errorf("got %v", err)
	}
}
