package buildtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
)

func (s suite) failures(t *testing.T) {
	t.Parallel()
	all := func(fail string, goOn bool) func(*build.Build) {
		return func(b *build.Build) {
			b.Phases = nil
			for _, name := range []string{"install", "build", "post_build"} {
				p := build.Phase{Name: name, Commands: []string{"echo " + name}, Finally: []string{"echo finally " + name + " $CODEBUILD_BUILD_SUCCEEDING"}}
				if name == fail {
					p.Commands = []string{"echo " + name, "(exit 3)", "echo not this"}
					p.GoOn = goOn
				}
				b.Phases = append(b.Phases, p)
			}
			b.Env = map[string]string{"CODEBUILD_BUILD_SUCCEEDING": "1"}
		}
	}
	one := func(commands ...string) func(*build.Build) {
		return func(b *build.Build) { b.Phases[0].Commands = commands }
	}
	for name, c := range map[string]struct {
		build   func(*build.Build)
		outcome []string
		printed []string
	}{
		"runs no other phase": {
			all("install", false), []string{"install failed: (exit 3): 3"},
			[]string{"install", "finally install 1"},
		},
		"runs the next phase when it may": {
			all("build", true), []string{"install ok", "build failed: (exit 3): 3", "post_build ok"},
			[]string{"install", "finally install 1", "build", "finally build 1", "post_build", "finally post_build 0"},
		},
		"fails by a command that ends the shell": {one("exit 4"), []string{"build failed: exit 4: 4"}, []string{}},
		"fails by set -e":                        {one("set -e", "false; echo no"), []string{"build failed: false; echo no: 1"}, []string{}},
		"fails by the shell's end": {
			one("kill -9 $$", "echo no"), []string{"build failed: kill -9 $$: 137"}, []string{},
		},
		"counts the last command of a script": {one("false\necho ok"), []string{"build ok"}, []string{"ok"}},
		"fails by its finally": {func(b *build.Build) { b.Phases[0].Finally = []string{"(exit 5)"} },
			[]string{"build failed: (exit 5): 5"}, []string{}},
		"goes on in a new shell after one was ended": {func(b *build.Build) {
			b.Phases[0] = build.Phase{Name: "build", GoOn: true, Commands: []string{"export x=1", "exit 9"}, Finally: []string{"echo finally $x"}}
			b.Phases = append(b.Phases, build.Phase{Name: "post_build", Commands: []string{"echo post $x"}})
		}, []string{"build failed: exit 9: 9", "post_build ok"}, []string{"finally 1", "post 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New(t)
			c.build(&b)
			ended := s.run(t, b)
			if diff := cmp.Diff(c.outcome, outcome(ended)); diff != "" {
				t.Error("outcome (-want +got)\n", diff)
			}
			if diff := cmp.Diff(c.printed, printed(t, b)); diff != "" {
				t.Error("printed (-want +got)\n", diff)
			}
		})
	}
	s.failureTexts(t)
}

// failureTexts are what a failure tells besides its place.
func (s suite) failureTexts(t *testing.T) {
	t.Helper()
	t.Run("fails by a command that no shell understands", func(t *testing.T) {
		t.Parallel()
		b := New(t, "if then", "echo no")
		if p, failed := s.run(t, b).Failed(); !failed || p.Failure.Exit == 0 || len(p.Failure.Tail) == 0 {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("tells its last lines", func(t *testing.T) {
		t.Parallel()
		b := New(t, "echo before", "seq 1 100; echo the reason >&2; printf 'no newline'; exit 1")
		p, _ := s.run(t, b).Failed()
		if p.Failure == nil || len(p.Failure.Tail) < 3 {
			t.Fatalf("got %+v", p)
		}
		if diff := cmp.Diff([]string{"100", "the reason", "no newline"}, p.Failure.Tail[len(p.Failure.Tail)-3:]); diff != "" {
			t.Error("(-want +got)\n", diff)
		}
	})
}

func (s suite) noShell(t *testing.T) {
	t.Parallel()
	b := New(t, "echo")
	b.Shell = "no-such-shell"
	if _, err := s.backend.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "no-such-shell") {
		t.Errorf("got %v", err)
	}
}
