package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/host"
)

// TestAForkBombIsContained needs root: where builds run as Towline's own user
// its other processes would count, too. The bomb ends by itself, for the case
// that nothing else ends it.
func TestAForkBombIsContained(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	for name, plain := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := buildtest.New(t, `i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done; echo no limit`, "echo after")
			// A phase after it needs a new shell, in the place of the one that died.
			b.Phases[0].GoOn = true
			b.Phases = append(b.Phases, build.Phase{Name: "post_build", Commands: []string{"echo after"}})
			dir := t.TempDir()
			h, err := host.New(host.Config{
				Runner: []string{os.Args[0], runnerCommand}, CacheDir: filepath.Join(dir, "cache"), Plain: plain,
				UID: 63000, Processes: 500, // of a user whom no other test has
			})
			if err := errors.Join(err, os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
				t.Fatal(err)
			}
			ended, err := h.Run(t.Context(), b)
			lines := buildtest.Lines(t, b)
			p, failed := ended.Failed()
			if err != nil || !failed {
				t.Fatalf("got %v, %+v\n%s", err, p.Failure, strings.Join(lines, "\n"))
			}
			if log := strings.Join(lines, "\n"); !strings.Contains(strings.ToLower(log), "fork") || slices.Contains(lines, "no limit") {
				t.Errorf("the log is\n%s", log)
			}
			if left := buildtest.Leftovers(t, b.Dir); len(left) > 0 {
				t.Errorf("%d processes are left", len(left))
			}
		})
	}
}
