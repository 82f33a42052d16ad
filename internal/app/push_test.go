package app

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
)

const definitionText = "pipeline: web\nstages:\n  - name: Test\n    actions: [{name: unit, build: {commands: ['true']}}]\n"

// setup opens an app that serves nothing and has the repository web, and a
// clone to push from. A push by path runs no hook: the test tells of it.
func setup(t *testing.T) (*App, func(args ...string) string) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	a, err := Open(t.Context(), Options{
		Server: config.Server{Data: data, Listen: []string{"127.0.0.1:0"}}, Executable: "/bin/true", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := a.repositories.Create(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	git("remote", "add", "origin", a.repositories.Path("web"))
	if err := os.WriteFile(filepath.Join(dir, "towline.yaml"), []byte(definitionText), 0o600); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	return a, git
}

func pushOf(branch, commit string) source.Push {
	return source.Push{Repository: "web", Updates: []source.Update{{Ref: "refs/heads/" + branch, New: commit}}}
}

// TestAnOlderPushToldLateStartsNothing tells of two pushes in the wrong order,
// as the look for missed pushes may when it overlaps with one: the older commit
// must not follow the newer one to production.
func TestAnOlderPushToldLateStartsNothing(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	git("commit", "-q", "-m", "First")
	older := git("rev-parse", "HEAD")
	git("commit", "-q", "--allow-empty", "-m", "Second")
	newer := git("rev-parse", "HEAD")
	git("push", "-q", "origin", "main")
	for _, commit := range []string{newer, older, newer} {
		a.pushed(t.Context(), pushOf("main", commit))
	}
	found, err := a.store.Executions(t.Context(), "web", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var commits []string
	for _, e := range found {
		commits = append(commits, e.Revision.Commit)
	}
	if diff := cmp.Diff([]string{newer}, commits); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
}

func TestADeletedBranchIsForgotten(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	git("commit", "-q", "-m", "First")
	git("push", "-q", "origin", "main:old")
	if err := a.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	git("push", "-q", "origin", ":old")
	if err := a.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seen, err := a.store.Heads(t.Context(), "web"); err != nil || len(seen) != 0 {
		t.Errorf("seen heads %v, %v", seen, err)
	}
}

func TestBranchesAreWatchedByGlob(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		glob, branch string
		want         bool
	}{
		"a name is itself":                   {"main", "main", true},
		"a name is no prefix":                {"main", "main2", false},
		"a star is one part of a branch":     {"release/*", "release/1.4", true},
		"a star is not several parts":        {"release/*", "release/1/4", false},
		"a star needs the part before it":    {"release/*", "release", false},
		"a star alone leaves out what has /": {"*", "feature/x", false},
		"a class is one character":           {"v[0-9]", "v7", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pipeline.Pipeline{On: pipeline.On{Push: []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{"other", c.glob}}}}}}
			if got := watches(p, c.branch); got != c.want {
				t.Errorf("%s watches %s: %t", c.glob, c.branch, got)
			}
		})
	}
}
