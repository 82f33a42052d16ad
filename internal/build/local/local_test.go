package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/local"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// The commands that make the test binary another process: the runner of a
// build, and somebody who builds a directory.
const (
	runnerCommand = "build-runner"
	callerCommand = "build-caller"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == runnerCommand:
		os.Exit(host.RunnerMain(context.Background(), os.Args[2]))
	case len(os.Args) == 4 && os.Args[1] == callerCommand:
		b, err := over(os.Args[2], os.Args[3])
		if spec, _ := os.ReadFile(filepath.Join(b.Dir, "buildspec.yml")); strings.Contains(string(spec), "batch:") {
			b.Config.Batch = &pipeline.Batch{}
		}
		if err == nil {
			_, err = b.Run(context.Background())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// over is a build of dir with its caches below cache.
func over(dir, cache string) (local.Build, error) {
	backend, err := host.New(host.Config{Runner: []string{os.Args[0], runnerCommand}, CacheDir: filepath.Join(cache, "cache")})
	return local.Build{Dir: dir, Cache: cache, Backend: backend, Show: func(string) error { return nil }}, err
}

// open is a directory that the build's user can reach.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// lines are what a build has shown.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) show(line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
	return nil
}

func (l *lines) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(strings.Join(l.all, "\n"), part)
}

func setup(t *testing.T, files map[string]string) (local.Build, *lines) {
	t.Helper()
	dir, cache := open(t), open(t)
	write(t, dir, files)
	b, err := over(dir, cache)
	if err != nil {
		t.Fatal(err)
	}
	l := &lines{}
	b.Show = l.show
	return b, l
}

func TestADirectoryIsBuilt(t *testing.T) {
	t.Parallel()
	b, log := setup(t, map[string]string{
		"buildspec.yml": "version: 0.2\nenv: {parameter-store: {TOKEN: /web/token}}\nphases: {build: {commands: ['ls', 'cat app.txt > out.txt', 'echo the token is $TOKEN']}}\nartifacts: {files: [out.txt, run.sh]}\n",
		".gitignore":    "ignored\n", "ignored": "", "app.txt": "app", "run.sh": "#!/bin/sh\n",
	})
	if out, err := exec.CommandContext(t.Context(), "git", "-C", b.Dir, "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(filepath.Join(b.Dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	write(t, filepath.Dir(token), map[string]string{"token": "s3cret-token"})
	b.Secrets = local.Secrets{"/web/token": token}
	b.Out = filepath.Join(t.TempDir(), "out")
	for range 2 { // the second replaces the files of the first
		result, err := b.Run(t.Context())
		if err != nil || result.Outcome != pipeline.Succeeded {
			t.Fatalf("%+v, %v\n%s", result, err, strings.Join(log.all, "\n"))
		}
	}
	text, err := os.ReadFile(filepath.Join(b.Out, "out.txt"))
	if err != nil || string(text) != "app" {
		t.Errorf("the artifact is %q, %v", text, err)
	}
	if info, err := os.Stat(filepath.Join(b.Out, "run.sh")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("run.sh is %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(b.Dir, "out.txt")); err == nil {
		t.Error("the build has written into the directory")
	}
	if log.has("\nignored\n") || !log.has("\napp.txt\n") {
		t.Errorf("the source was not what git would commit:\n%s", strings.Join(log.all, "\n"))
	}
	if log.has("s3cret-token") || !log.has("the token is ***") {
		t.Errorf("the secret is not hidden:\n%s", strings.Join(log.all, "\n"))
	}
	left(t, b)
}

// left says that nothing of a build is left in its cache.
func left(t *testing.T, b local.Build) {
	t.Helper()
	if found, _ := filepath.Glob(filepath.Join(b.Cache, "build-*")); len(found) > 0 {
		t.Errorf("left are %q", found)
	}
}

func TestABuildThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec, want string
	}{
		"because a command fails":        {"version: 0.2\nphases: {build: {commands: ['exit 3']}}\n", "exit code 3"},
		"because a secret is not given":  {"version: 0.2\nenv: {secrets-manager: {A: 'web/db:password'}}\nphases: {build: {commands: ['true']}}\n", "write --secret web/db=FILE"},
		"because there is no buildspec":  {"", "buildspec.yml"},
		"because the buildspec is wrong": {"version: 0.2\nphases: {biuld: {commands: ['true']}}\n", "did you mean build?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"a": ""}
			if c.spec != "" {
				files["buildspec.yml"] = c.spec
			}
			b, _ := setup(t, files)
			result, err := b.Run(t.Context())
			if err != nil || result.Outcome != pipeline.Failed || !strings.Contains(result.Message, c.want) {
				t.Errorf("%+v, %v, want %q", result, err, c.want)
			}
			left(t, b)
		})
	}
}

const slow = "version: 0.2\nphases: {build: {commands: ['echo begun', 'sleep 600']}}\n"

func TestABuildIsStopped(t *testing.T) {
	t.Parallel()
	b, log := setup(t, map[string]string{"buildspec.yml": slow})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.Run(ctx)
		ended <- err
	}()
	waittest.Until(t, "the build begins", func() bool { return log.has("\nbegun") })
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the build was not stopped")
	}
	left(t, b)
	if left := buildtest.Leftovers(t, b.Cache); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

// TestABuildOfAKilledProcessIsStopped kills who builds; the builds go on, until
// the next call comes.
func TestABuildOfAKilledProcessIsStopped(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]string{
		"alone":      slow,
		"of a batch": slow + "batch: {build-list: [{identifier: a}]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := setup(t, map[string]string{"buildspec.yml": spec})
			caller := exec.CommandContext(t.Context(), os.Args[0], callerCommand, b.Dir, b.Cache)
			if err := caller.Start(); err != nil {
				t.Fatal(err)
			}
			waittest.Until(t, "the build begins", func() bool {
				logs, _ := filepath.Glob(filepath.Join(b.Cache, "build-*", "log"))
				for _, log := range logs {
					if text, _ := os.ReadFile(log); strings.Contains(string(text), "begun\n") {
						return true
					}
				}
				return false
			})
			_ = caller.Process.Kill()
			_ = caller.Wait()
			write(t, b.Dir, map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['true']}}\n"})
			if result, err := b.Run(t.Context()); err != nil || result.Outcome != pipeline.Succeeded {
				t.Errorf("%+v, %v", result, err)
			}
			left(t, b)
			if left := buildtest.Leftovers(t, b.Cache); len(left) > 0 {
				t.Errorf("left are %q", left)
			}
		})
	}
}
