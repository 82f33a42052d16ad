package host_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// limited is a backend whose builds have limits.
func limited(t *testing.T, dir string, plain bool, config host.Config) *host.Backend {
	t.Helper()
	config.Runner, config.CacheDir, config.Plain = []string{os.Args[0], runnerCommand}, filepath.Join(dir, "cache"), plain
	h, err := host.New(config)
	if err := errors.Join(err, os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
		t.Fatal(err)
	}
	return h
}

// filler writes 1 MiB after the other into a directory, and 1 GiB at most, for
// the case that nothing ends it.
func filler(dir string) string {
	return `i=0; while [ $i -lt 1024 ]; do head -c 1048576 /dev/zero > ` + dir + `/fill$i; i=$((i+1)); done; echo no limit`
}

// greedy are builds that use too much, each of which would end by itself, for the
// case that nothing ends it.
var greedy = map[string]struct {
	limits   pipeline.Limits
	commands []string
	want     []string
	plain    bool // else the kernel bounds it, see TestAForkBombIsContained
}{
	"the source directory is filled": {
		pipeline.Limits{Disk: "48Mi"}, []string{filler(".")},
		[]string{"in phase build", "more than the 48 MiB that it may", " of it in its source directory; ", "raise limits.disk of the action"}, false,
	},
	"the directory for temporary files is filled": {
		pipeline.Limits{Disk: "48Mi"}, []string{filler(`"$TMPDIR"`)}, []string{" of it in its /tmp; "}, false,
	},
	"the cache is filled": {
		pipeline.Limits{Disk: "48Mi"}, []string{filler(`"$XDG_CACHE_HOME"`)},
		[]string{" of it in the caches of its pipeline; ", "cache/pipelines/the-cache-is-filled, which later builds fill again"}, false,
	},
	"a file without a name is filled": {
		pipeline.Limits{Disk: "48Mi"}, []string{`exec 7> nameless; rm nameless; head -c 512M /dev/zero >&7; sleep 600`},
		[]string{" of it in files that are open and have no name"}, false,
	},
	"the memory is filled": {
		pipeline.Limits{Memory: "48Mi"}, []string{`awk 'BEGIN { s = "0123456789"; while (length(s) < 1000000) s = s s; while (n < 500) a[n++] = s n; system("sleep 600") }'`},
		[]string{"more than the 48 MiB that they may", "awk; let them", "raise limits.memory of the action"}, false,
	},
	// Its own bound is for the case that nothing else stops it.
	"a fork bomb explodes": {
		pipeline.Limits{Processes: 150}, []string{`exec 2> /dev/null; (i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done); sleep 600`},
		[]string{"processes and threads, more than the 150 that it may", "raise limits.processes of the action"}, true,
	},
}

// TestABuildThatUsesTooMuchIsEnded lets another build go on meanwhile.
func TestABuildThatUsesTooMuchIsEnded(t *testing.T) {
	t.Parallel()
	for how, plain := range variants {
		if os.Geteuid() != 0 && !plain {
			continue
		}
		h := limited(t, t.TempDir(), plain, host.Config{UID: 62000})
		for name, c := range greedy {
			if c.plain && os.Geteuid() == 0 {
				continue
			}
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				other := buildtest.New(t, "echo begun; while [ ! -e go ]; do sleep 0.02; done")
				other.Pipeline = "other"
				done := begin(t, h, other)
				b := buildtest.New(t, c.commands...)
				b.Limits, b.Pipeline = &c.limits, strings.ReplaceAll(name, " ", "-")
				ended, err := h.Run(t.Context(), b)
				lines := buildtest.Lines(t, b)
				log := strings.Join(lines, "\n")
				if err != nil || ended.Exceeded == nil || slices.Contains(lines, "no limit") {
					t.Fatalf("%v, %+v\n%s", err, ended, log)
				}
				text := "in phase " + ended.Exceeded.Phase + ": " + ended.Exceeded.Text
				for _, want := range c.want {
					if !strings.Contains(text, want) || !strings.Contains(log, ended.Exceeded.Text) {
						t.Errorf("%q is not in the outcome %q, or that not in the log\n%s", want, text, log)
					}
				}
				if left := buildtest.Leftovers(t, b.Dir); len(left) > 0 {
					t.Errorf("%d processes are left", len(left))
				}
				if left, err := os.ReadDir(b.Source); c.limits.Disk != "" && (err != nil || len(left) > 0) {
					t.Errorf("%d files are left of what filled the disk, %v", len(left), err)
				}
				if err := os.WriteFile(filepath.Join(other.Source, "go"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Errorf("the other build: %v", err)
				}
			})
		}
	}
}

// TestABuildThatFillsTheServersDiskIsEnded needs root, as a small disk does.
func TestABuildThatFillsTheServersDiskIsEnded(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	for how, plain := range variants {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=192m,mode=711"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			h := limited(t, dir, plain, host.Config{UID: 62000, Spare: 64 << 20})
			small := on(t, dir, "small", `head -c 8M /dev/zero > mine; echo begun; while [ ! -e go ]; do sleep 0.02; done; head -c 8M /dev/zero >> mine; wc -c < mine`)
			done := begin(t, h, small)
			large := on(t, dir, "large", filler("."), "sleep 600")
			ended, err := h.Run(t.Context(), large)
			log := strings.Join(buildtest.Lines(t, large), "\n")
			if err != nil || ended.Exceeded == nil || !strings.Contains(ended.Exceeded.Text, "the disk of the server has only ") || strings.Contains(log, "No space left") {
				t.Errorf("%v, %+v\n%s", err, ended, log)
			}
			if err := os.WriteFile(filepath.Join(small.Source, "go"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil || !slices.Contains(buildtest.Lines(t, small), "16777216") {
				t.Errorf("the small build: %v", err)
			}
		})
	}
}

// begin runs a build and returns as soon as it has printed that it has begun. The
// channel gets how it ends.
func begin(t *testing.T, h *host.Backend, b build.Build) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		ended, err := h.Run(t.Context(), b)
		if p, failed := ended.Failed(); failed {
			err = fmt.Errorf("phase %s: %+v", p.Name, p.Failure)
		}
		done <- err
	}()
	waittest.Until(t, "the build has begun", func() bool { return slices.Contains(buildtest.Lines(t, b), "begun") })
	return done
}

// on is a build whose files lie in a directory of one's own.
func on(t *testing.T, dir, name string, commands ...string) build.Build {
	t.Helper()
	b := buildtest.New(t, commands...)
	b.Pipeline, b.Dir = name, filepath.Join(dir, name)
	b.Source = filepath.Join(b.Dir, "src")
	if err := cmp.Or(os.Mkdir(b.Dir, 0o711), os.Mkdir(b.Source, 0o755)); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABuildThatAsksForTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	h := limited(t, t.TempDir(), false, host.Config{Disk: 1 << 30, Memory: 1 << 30, Processes: 100})
	for name, c := range map[string]struct {
		limits pipeline.Limits
		want   string
	}{
		"disk":            {pipeline.Limits{Disk: "2Gi"}, "limits.disk is 2Gi, and this server gives a build 1 GiB: ask for less, or start the server with a greater --build-disk"},
		"memory":          {pipeline.Limits{Memory: "1.5Gi"}, "limits.memory is 1.5Gi, and this server gives a build 1 GiB"},
		"processes":       {pipeline.Limits{Processes: 101}, "limits.processes is 101, and this server gives a build 100"},
		"what is no size": {pipeline.Limits{Memory: "much"}, `limits.memory: "much" is no size`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := buildtest.New(t, "echo no")
			b.Limits = &c.limits
			ended, err := h.Run(t.Context(), b)
			if p, failed := ended.Failed(); err != nil || !failed || !strings.Contains(p.Failure.Reason, c.want) {
				t.Errorf("got %v, %+v", err, p.Failure)
			}
		})
	}
}
