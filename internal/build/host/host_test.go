package host_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/phases"
)

// runnerCommand makes the test binary the runner of a build.
const runnerCommand = "build-runner"

func TestMain(m *testing.M) {
	if code, ok := phases.Tool(context.Background(), os.Args[1:], os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	if len(os.Args) == 3 && os.Args[1] == runnerCommand {
		os.Exit(host.RunnerMain(context.Background(), os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

// newHost is a backend whose runner is this test binary, unless another one is
// named.
func newHost(t testing.TB, plain bool, runner ...string) *host.Backend {
	t.Helper()
	dir := t.TempDir()
	if len(runner) == 0 {
		runner = []string{os.Args[0], runnerCommand}
	}
	h, err := host.New(host.Config{
		Runner:   runner,
		CacheDir: filepath.Join(dir, "cache"),
		Plain:    plain,
		Environ:  append(os.Environ(), "TOWLINE_TEST_SECRET=x"),
	})
	if err := errors.Join(err, os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHostIsABackend(t *testing.T) {
	t.Parallel()
	buildtest.Run(t, newHost(t, false))
}

func TestHostIsABackendWithoutNamespaces(t *testing.T) {
	t.Parallel()
	buildtest.Run(t, newHost(t, true))
}

// TestHostIsABackendForAnOrdinaryUser runs the suite once more, in a process
// that is not root.
func TestHostIsABackendForAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // the other tests of this run are those of an ordinary user
	}
	const user = 65534 // nobody: initdb wants a user with a name
	dir := t.TempDir()
	binary := filepath.Join(dir, "build.test")
	copyProgram(t, os.Args[0], binary)
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o711), os.Chown(dir, user, user)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^(TestHostIsABackend|TestABuildThatUsesTooMuchIsEnded)$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

var serviceDB = build.Service{Name: "db", Engine: "postgres"}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestARunnerThatDoesNotRunIsAFault(t *testing.T) {
	t.Parallel()
	h := newHost(t, false, "/bin/sh", "-c", "echo no runner here >&2; exit 1")
	if _, err := h.Run(t.Context(), buildtest.New(t, "true")); err == nil || !strings.Contains(err.Error(), "no runner here") {
		t.Errorf("got %v", err)
	}
}
