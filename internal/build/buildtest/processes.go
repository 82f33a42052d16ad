package buildtest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/build"
)

// holder starts processes that are hard to end, and says so in the log: one
// that ignores SIGTERM, one in a session of its own, one without parent, and
// one whose environment is empty.
const holder = `sh -c 'trap "" TERM; echo $$ > a; while :; do sleep 1000; done' &
setsid sh -c 'trap "" TERM HUP; echo $$ > b; while :; do sleep 1000; done' &
(setsid sleep 1000 & echo $! > c)
env -i setsid sh -c 'echo $$ > d; exec sleep 1000' &
while ! { [ -s a ] && [ -s b ] && [ -s c ] && [ -s d ]; }; do sleep 0.01; done
readlink /proc/self/ns/pid > ns
echo holding`

// Leftovers are the processes of this machine whose command line or environment
// names the word.
func Leftovers(t *testing.T, word string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		environ, _ := os.ReadFile(f)
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		if strings.Contains(string(environ), word) || strings.Contains(string(args), word) {
			found = append(found, f+": "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// Touch makes a file where the commands of a running build are, wherever that is:
// also in a Pod that was given up and goes on.
func Touch(t *testing.T, b build.Build, name string) {
	t.Helper()
	touched := false
	for _, pid := range marked(t, b) {
		err := os.WriteFile(filepath.Join("/proc", pid, "cwd", name), nil, 0o666) //nolint:gosec // the build's user reads it
		touched = touched || err == nil
	}
	if !touched {
		t.Fatal("the build has no process to be found here")
	}
}

// waitGone waits until the commands of a build have ended.
func waitGone(t *testing.T, b build.Build) {
	t.Helper()
	for deadline := time.Now().Add(within); len(marked(t, b)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the build does not end")
		}
	}
}

// marked are the process IDs of the commands of a build.
func marked(t *testing.T, b build.Build) []string {
	t.Helper()
	var pids []string
	for _, found := range Leftovers(t, mark(b)) {
		pids = append(pids, strings.Split(found, "/")[2])
	}
	return pids
}

// gone fails when a process of the build lives, or a part of its databases.
func (s suite) gone(t *testing.T, b build.Build) {
	t.Helper()
	// The suite's own process has the word in nobody's environment but the
	// build's: New gives each build a directory of its own.
	if left := Leftovers(t, mark(b)); len(left) > 0 {
		t.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
	}
	port, err := os.ReadFile(filepath.Join(b.Source, "port"))
	if err != nil || s.elsewhere {
		return // a build without a database, or one that cannot be reached from here
	}
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(port))))
	if err == nil {
		_ = conn.Close()
		t.Error("the database still listens")
	}
}

// mark is in the environment of all processes of a build that withMark has
// given it to.
func mark(b build.Build) string { return "TOWLINE_TEST_BUILD=" + b.Dir }

func withMark(b build.Build) build.Build {
	b.Override = map[string]string{"TOWLINE_TEST_BUILD": b.Dir}
	return b
}
