package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/host"
)

// TestAPhaseRunsAsAnAllowedUser needs root, as run-as does; daemon is a user of
// every Debian.
func TestAPhaseRunsAsAnAllowedUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // refusals are tested by the suite, for ordinary users too
	}
	for name, c := range map[string]struct {
		plain bool
		shell string
	}{
		"in namespaces": {false, ""}, "without namespaces": {true, ""}, "in bash": {false, "bash"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			h, err := host.New(host.Config{
				Runner: []string{os.Args[0], runnerCommand}, CacheDir: filepath.Join(dir, "cache"), Plain: c.plain, Users: []string{"daemon"},
			})
			if err := errors.Join(err, os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
				t.Fatal(err)
			}
			b := buildtest.New(t)
			b.Shell = c.shell
			b.Phases = []build.Phase{
				{Name: "install", Commands: []string{"export WORD=kept; mkdir a; cd a; id -u > ../own; touch $TMPDIR/mine"}},
				{Name: "build", RunAs: "daemon", Commands: []string{
					`echo "$(id -un) $USER $WORD ${PWD##*/} $HOME"`, `touch $TMPDIR/theirs && echo temp`,
					`touch here 2>/dev/null || echo the source is not theirs`, `cat ../own > /dev/null && echo and can be read`,
					`export WORD=changed`,
				}},
				{Name: "post_build", Commands: []string{`[ "$(id -u)" = "$(cat ../own)" ] && echo "own again, $WORD ${PWD##*/}"`, `test "$HOME" != /usr/sbin && touch "$HOME/x" && echo home`}},
			}
			ended, err := h.Run(t.Context(), b)
			if p, failed := ended.Failed(); err != nil || failed {
				t.Fatal(err, p.Failure, buildtest.Lines(t, b))
			}
			var got []string
			for _, l := range buildtest.Lines(t, b) {
				if !strings.HasPrefix(l, "[") && !strings.HasPrefix(l, "host backend: ") {
					got = append(got, l)
				}
			}
			want := []string{"daemon daemon kept a /usr/sbin", "temp", "the source is not theirs", "and can be read", "own again, changed a", "home"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

// variants are the ways in which a root runs builds.
var variants = map[string]bool{"in namespaces": false, "without namespaces": true}

func TestNoBuildMayRunAsRoot(t *testing.T) {
	t.Parallel()
	_, err := host.New(host.Config{Runner: []string{os.Args[0]}, CacheDir: t.TempDir(), Users: []string{"daemon", "root"}})
	if err == nil || !strings.Contains(err.Error(), "builds may not run as root") {
		t.Errorf("got %v", err)
	}
}

// TestAPhaseRunsAsNoOtherUser names users that every machine has, and who may
// do more than a build.
func TestAPhaseRunsAsNoOtherUser(t *testing.T) {
	t.Parallel()
	for name, plain := range variants {
		h := newHost(t, plain)
		for _, user := range []string{"root", "daemon"} {
			t.Run(user+" "+name, func(t *testing.T) {
				t.Parallel()
				b := buildtest.New(t, "echo no")
				b.Phases[0].RunAs = user
				ended, err := h.Run(t.Context(), b)
				p, failed := ended.Failed()
				if err != nil || !failed || !strings.Contains(p.Failure.Reason, "builds may not run as this user here") {
					t.Errorf("got %v, %+v", err, p.Failure)
				}
			})
		}
	}
}
