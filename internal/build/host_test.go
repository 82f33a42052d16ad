package build_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
)

// newHost is a backend whose runner is this test binary, unless another one is
// named.
func newHost(t testing.TB, plain bool, runner ...string) *build.Host {
	t.Helper()
	dir := t.TempDir()
	if len(runner) == 0 {
		runner = []string{os.Args[0], runnerCommand}
	}
	h, err := build.NewHost(build.HostConfig{
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
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestHostIsABackend$")
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
