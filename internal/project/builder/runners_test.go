package builder_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/waittest"
)

// runners are the process IDs of the runners of builds below a directory.
func runners(dir string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		line, err := os.ReadFile(file) // empty of one that is not reaped yet
		args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
		if err != nil || len(args) != 3 || args[1] != runnerCommand || !strings.HasPrefix(args[2], dir+"/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endRunners fails a test that has left runners behind, and ends them with all
// that they have started: they outlive their server, and so would outlive the
// test. A test that has failed need not have waited for them.
func endRunners(t *testing.T, dir string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	gone := func() bool { return len(runners(dir)) == 0 }
	if !t.Failed() && waittest.Poll(ctx, gone) || gone() {
		return
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, pid := range runners(dir) {
			t.Errorf("runner %d was left behind; it is sent: %v", pid, signal)
			_ = syscall.Kill(pid, signal)
		}
		if waittest.Poll(ctx, gone) {
			return
		}
	}
}
