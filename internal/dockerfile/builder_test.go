package dockerfile_test

import (
	"context"
	"debug/elf"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/buildah"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/waittest"
)

// way is one that does what it is told, and records what it was given.
type way struct {
	name  string
	build func(b dockerfile.Build) error
	built []string // the Dockerfiles, in order
}

func (w *way) Name() string { return w.name }

func (w *way) Build(_ context.Context, b dockerfile.Build) (dockerfile.Result, error) {
	text, err := os.ReadFile(b.File)
	if err != nil {
		return dockerfile.Result{}, err
	}
	w.built = append(w.built, string(text))
	return dockerfile.Result{}, w.build(b)
}

const probed = "FROM scratch\nCOPY probe /probe\nRUN [\"/probe\"]\n"

func someBuild(t *testing.T) (dockerfile.Build, *waittest.Log) {
	t.Helper()
	dir, said := t.TempDir(), &waittest.Log{}
	file := filepath.Join(dir, "Dockerfile")
	must(t, os.WriteFile(file, []byte("FROM a\n"), 0o644))
	return dockerfile.Build{Dir: dir, File: file, Context: dir, Output: filepath.Join(t.TempDir(), "out"), Log: said}, said
}

func TestTheFirstWayThatWorksIsGone(t *testing.T) {
	t.Parallel()
	broken := &way{name: "one", build: func(dockerfile.Build) error { return errors.New("no such socket; start it") }}
	works := &way{name: "two", build: func(dockerfile.Build) error { return nil }}
	never := &way{name: "three", build: func(dockerfile.Build) error { return nil }}
	builder := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), broken, works, never)
	for range 2 {
		b, said := someBuild(t)
		result, err := builder.Build(t.Context(), b)
		if err != nil || result.Way != "two" || said.String() != "built by two\n" {
			t.Errorf("got %+v, %v, log %q", result, err, said)
		}
	}
	want := [][]string{{probed}, {probed, "FROM a\n", "FROM a\n"}, nil}
	if d := cmp.Diff(want, [][]string{broken.built, works.built, never.built}); d != "" {
		t.Errorf("built (-want +got):\n%s", d)
	}
}

func TestAWayThatWorksNoMoreIsLeft(t *testing.T) {
	t.Parallel()
	gone := false
	one := &way{name: "one", build: func(dockerfile.Build) error {
		if gone {
			return errors.New("no such socket")
		}
		return nil
	}}
	two := &way{name: "two", build: func(dockerfile.Build) error { return nil }}
	builder := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), one, two)
	b, said := someBuild(t)
	for i, want := range []string{"one", "", "two"} {
		result, err := builder.Build(t.Context(), b)
		if result.Way != want || (err == nil) != (want != "") {
			t.Errorf("build %d: got %+v, %v; want way %q\n%s", i, result, err, want, said)
		}
		gone = true
	}
}

func TestWithoutAWayEachProbeIsNamed(t *testing.T) {
	t.Parallel()
	mended := false
	one := &way{name: "one", build: func(dockerfile.Build) error {
		if mended {
			return nil
		}
		return errors.New("no such socket; start it")
	}}
	two := &way{name: "two", build: func(b dockerfile.Build) error {
		b.Say("runc: mount /proc: operation not permitted")
		return dockerfile.Refuse("RUN: exit status 1")
	}}
	builder := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), one, two)
	b, _ := someBuild(t)
	_, err := builder.Build(t.Context(), b)
	none, ok := errors.AsType[*dockerfile.NoWayError](err)
	if !ok || len(none.Failures) != 2 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"\n  one: no such socket; start it", "\n  two: it cannot run a command in a container: RUN: exit status 1 (runc: mount /proc: operation not permitted)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	mended = true
	if _, err := builder.Build(t.Context(), b); err != nil {
		t.Errorf("once it was mended: %v", err)
	}
}

func TestThisMachineWithoutAnyProgram(t *testing.T) {
	nothing := func(context.Context, func(string)) (string, error) {
		return "", errors.New("buildkitd is not on PATH")
	}
	d := daemon.New(daemon.Config{Dir: t.TempDir(), Program: program(t), Find: nothing, Logger: slog.New(slog.DiscardHandler)})
	builder := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &buildkit.Own{Daemon: d},
		&buildkit.Docker{Socket: filepath.Join(t.TempDir(), "docker.sock")}, &buildkit.Remote{Address: "unix:///nowhere/buildkitd.sock"},
		&buildah.Buildah{Dir: filepath.Join(t.TempDir(), "file", "\x00"), Program: program(t)})
	b, _ := someBuild(t)
	_, err := builder.Build(t.Context(), b)
	if err == nil {
		t.Fatal("it was built")
	}
	for _, want := range []string{"own: buildkitd is not on PATH", "Docker at ", "install Docker", "the BuildKit at unix:///nowhere/buildkitd.sock: connect", "check that it runs", "buildah: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestSecretsThatCannotBeHiddenAreRefused(t *testing.T) {
	t.Parallel()
	builder := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &way{name: "one", build: func(dockerfile.Build) error { return nil }})
	b, _ := someBuild(t)
	b.Secrets = map[string][]byte{"pin": []byte("123")}
	if _, err := builder.Build(t.Context(), b); err == nil || !strings.Contains(err.Error(), "pin is shorter than") {
		t.Errorf("got %v", err)
	}
}

func TestAnErrorShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{true, false} {
		w := &way{name: "one"}
		w.build = func(b dockerfile.Build) error {
			switch {
			case len(b.Secrets) == 0:
				return nil
			case refused:
				return dockerfile.Refuse("it said %s", hush)
			}
			b.Say("began with %s", hush)
			return errors.Join(dockerfile.ErrLost, errors.New("it said "+hush))
		}
		b, said := someBuild(t)
		b.Secrets = map[string][]byte{"npm": []byte(hush)}
		_, err := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), w).Build(t.Context(), b)
		if err == nil || strings.Contains(err.Error()+said.String(), hush) || !strings.Contains(err.Error(), "***") || errors.Is(err, dockerfile.ErrLost) == refused {
			t.Errorf("got %v, log %q", err, said)
		}
	}
}

func isProgram(file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

func TestTheProbeIsAProgram(t *testing.T) {
	t.Parallel()
	w := &way{name: "one", build: func(b dockerfile.Build) error {
		if b.NoCache { // of the probe
			return isProgram(filepath.Join(b.Dir, "probe"))
		}
		return nil
	}}
	b, _ := someBuild(t)
	if _, err := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), w).Build(t.Context(), b); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoDockerfileIsTheUsersToMend(t *testing.T) {
	t.Parallel()
	w := &way{name: "one", build: func(dockerfile.Build) error { return nil }}
	builder := dockerfile.NewBuilder(slog.New(slog.DiscardHandler), w)
	for want, change := range map[string]func(b *dockerfile.Build){
		"dockerfile: docker is not a file":          func(b *dockerfile.Build) { b.File = filepath.Join(b.Dir, "docker") },
		"context: Dockerfile is not a directory":    func(b *dockerfile.Build) { b.Context = b.File },
		"dockerfile: other/file is not a file":      func(b *dockerfile.Build) { b.File = filepath.Join(b.Dir, "other", "file") },
		"context: other is not a directory; name t": func(b *dockerfile.Build) { b.Context = filepath.Join(b.Dir, "other") },
	} {
		b, _ := someBuild(t)
		must(t, os.Mkdir(filepath.Join(b.Dir, "docker"), 0o755))
		change(&b)
		_, err := builder.Build(t.Context(), b)
		if refused, ok := errors.AsType[*dockerfile.RefusedError](err); !ok || !strings.HasPrefix(refused.Message, want) {
			t.Errorf("got %v; want a refusal that begins with %q", err, want)
		}
	}
	if len(w.built) > 0 {
		t.Errorf("built %q", w.built)
	}
}
