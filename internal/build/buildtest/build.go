package buildtest

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/report"
)

// New returns a build with one phase, with an empty source, in a directory of
// its own, which ends with the test.
func New(tb testing.TB, commands ...string) build.Build {
	tb.Helper()
	dir := tb.TempDir()
	source := filepath.Join(dir, "src")
	restore := func(context.Context) error {
		return errors.Join(os.RemoveAll(source), os.Mkdir(source, 0o755))
	}
	// A backend that runs builds as another user goes through the parent.
	if err := errors.Join(restore(tb.Context()), os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
		tb.Fatal(err)
	}
	log, err := report.OpenLog(filepath.Join(dir, "action.log"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = log.Close() })
	return build.Build{
		Pipeline: "web", Key: "web-1.Test.1." + rand.Text()[:10], Timeout: within,
		Phases: []build.Phase{{Name: "build", Commands: commands}},
		Dir:    dir, Source: source, Log: log, LogFile: filepath.Join(dir, "action.log"), Restore: restore,
	}
}

// Lines reads the log of a build, without the times.
func Lines(t *testing.T, b build.Build) []string {
	t.Helper()
	var lines []string
	err := report.Follow(context.Background(), b.LogFile, 0, func() bool { return true }, func(l report.Line) error {
		if l.Time.IsZero() {
			t.Errorf("line %q has no time", l.Text)
		}
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// printed are the lines that commands printed: those of the backend itself are
// left out.
func printed(t *testing.T, b build.Build) []string {
	t.Helper()
	lines := []string{}
	for _, l := range Lines(t, b) {
		if !strings.HasPrefix(l, "host backend: ") && !strings.HasPrefix(l, "pod backend: ") && !strings.HasPrefix(l, "service ") && !strings.HasPrefix(l, "[") {
			lines = append(lines, l)
		}
	}
	return lines
}
