package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
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

// TestAnExecutionKnowsWhatWasPushed pushes twice, so that there is a commit
// before.
func TestAnExecutionKnowsWhatWasPushed(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	var commits []string
	for _, message := range []string{"First", "Second"} {
		git("commit", "-q", "--allow-empty", "-m", message)
		git("push", "-q", "origin", "main")
		commits = append(commits, git("rev-parse", "HEAD"))
		a.pushed(t.Context(), pushOf("main", commits[len(commits)-1]))
	}
	e, err := a.store.Execution(t.Context(), "web-2")
	want := &pipeline.SourceChange{Event: pipeline.ChangePush, Head: "refs/heads/main", Previous: commits[0]}
	if diff := cmp.Diff(want, e.Trigger.Source); err != nil || diff != "" {
		t.Errorf("%v, change (-want +got):\n%s", err, diff)
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
	seen, err := a.store.Heads(t.Context(), "web")
	if diff := cmp.Diff(map[string]string{tagsKnown: "known"}, seen); err != nil || diff != "" {
		t.Errorf("%v, seen heads (-want +got):\n%s", err, diff)
	}
}

// TestPushesAreWatchedByTheirFilters pushes to a pipeline that watches files of
// main, and tags.
func TestPushesAreWatchedByTheirFilters(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	p := pipeline.Pipeline{Name: "web", On: pipeline.On{Push: []pipeline.PushFilter{
		{Branches: &pipeline.Globs{Includes: []string{"main"}}, Paths: &pipeline.Globs{Includes: []string{"src/**"}, Excludes: []string{"**.md"}}},
		{Tags: &pipeline.Globs{Includes: []string{"v*"}}},
	}}}
	git("commit", "-q", "-m", "First")
	git("push", "-q", "origin", "main")
	first := git("rev-parse", "HEAD")
	commit := func(file string) string {
		git("checkout", "-q", "-B", "change", first)
		path := filepath.Join(git("rev-parse", "--show-toplevel"), file)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		git("add", "-A")
		git("commit", "-q", "-m", file)
		git("push", "-q", "-f", "origin", "change")
		return git("rev-parse", "HEAD")
	}
	for _, c := range []struct {
		name, ref, file string
		want            bool
	}{
		{"a file that is watched", "main", "src/web.go", true},
		{"a file that is not", "main", "docs/web.go", false},
		{"a file that is left out", "main", "src/README.md", false},
		{"another branch", "other", "src/web.go", false},
		{"a tag that is watched", tagRef + "v1", "docs/web.go", true},
		{"a tag that is not", tagRef + "nightly", "docs/web.go", false},
	} {
		h := head{Head: store.Head{Repository: "web", Branch: c.ref, Commit: commit(c.file)}, seen: first}
		if got, err := a.watches(t.Context(), p, h); err != nil || got != c.want {
			t.Errorf("%s: %t, %v", c.name, got, err)
		}
	}
}

// TestAPushDefinesWhatItDoesNotStart pushes a pipeline that only people start,
// and one whose variable has no value; a pipeline of the API starts beside it.
func TestAPushDefinesWhatItDoesNotStart(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	other := pipeline.Pipeline{Name: "other", Stages: []pipeline.Stage{{Name: "Source", Actions: []pipeline.Action{{
		Name: "push", RunOrder: 1, Type: pipeline.ActionType{Category: pipeline.CategorySource, Provider: "CodeCommit"}, Configuration: []byte(`{"RepositoryName":"web"}`),
	}}}}}
	if err := a.store.Update(t.Context(), func(q store.Querier) error { return store.PutPipeline(t.Context(), q, other, "", time.Now()) }); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ text, says string }{
		{"on: {}\n", "it is defined now, and can be run with: towline run web"},
		{"variables: {ticket: {description: number}}\n", "not started: pipeline web: variables.ticket: variable ticket has no value"},
	} {
		if err := os.WriteFile(filepath.Join(git("rev-parse", "--show-toplevel"), "towline.yaml"), []byte(c.text+definitionText), 0o600); err != nil {
			t.Fatal(err)
		}
		git("add", "-A")
		git("commit", "-q", "-m", c.text)
		git("push", "-q", "origin", "main")
		lines := strings.Join(a.pushed(t.Context(), pushOf("main", "")), "\n")
		if !strings.Contains(lines, c.says) || !strings.Contains(lines, fmt.Sprintf("other #%d started", i+1)) {
			t.Errorf("the pusher reads:\n%s", lines)
		}
		if d, err := a.store.Pipeline(t.Context(), "web"); err != nil || d.Pipeline.Version != i+1 {
			t.Errorf("definition %+v, %v", d, err)
		}
	}
}

// TestAPushStartsWhatTheAPIHasDefined has two pipelines of AWS's clients that
// take their source from a repository without a towline.yaml.
func TestAPushStartsWhatTheAPIHasDefined(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	sourced := func(name, provider, configuration string) pipeline.Pipeline {
		return pipeline.Pipeline{Name: name, Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{{
				Name: "push", RunOrder: 1, Type: pipeline.ActionType{Category: pipeline.CategorySource, Owner: "AWS", Provider: provider}, Configuration: []byte(configuration),
			}}},
			{Name: "Go", Actions: []pipeline.Action{{Name: "go", RunOrder: 1, Type: pipeline.ActionType{Category: pipeline.CategoryApproval}}}},
		}}
	}
	for _, p := range []pipeline.Pipeline{
		sourced("commits", "CodeCommit", `{"RepositoryName":"web","BranchName":"main"}`),
		sourced("release", "CodeCommit", `{"RepositoryName":"web","BranchName":"release"}`),
		sourced("manual", "CodeStarSourceConnection", `{"FullRepositoryId":"web","BranchName":"main","DetectChanges":"false"}`),
		sourced("other", "CodeStarSourceConnection", `{"FullRepositoryId":"acme/web","BranchName":"main"}`),
		sourced("stored", "S3", `{"S3Bucket":"web","S3ObjectKey":"main"}`),
	} {
		if err := a.store.Update(t.Context(), func(q store.Querier) error { return store.PutPipeline(t.Context(), q, p, "", time.Now()) }); err != nil {
			t.Fatal(err)
		}
	}
	git("commit", "-q", "-m", "First")
	git("push", "-q", "origin", "main")
	lines := a.pushed(t.Context(), pushOf("main", ""))
	a.pushed(t.Context(), pushOf("main", ""))
	all, err := a.store.Unfinished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var started []string
	for _, e := range all {
		started = append(started, e.ID)
	}
	if diff := cmp.Diff([]string{"commits-1", "web-1"}, started); diff != "" {
		t.Errorf("executions (-want +got):\n%s%s", diff, strings.Join(lines, "\n"))
	}
}
func TestATagIsActedOnOnce(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	file := filepath.Join(git("rev-parse", "--show-toplevel"), "towline.yaml")
	if err := os.WriteFile(file, []byte("on: {push: {tags: ['v*']}}\n"+definitionText), 0o600); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-q", "-m", "First")
	git("tag", "-a", "-m", "release", "v1")
	git("push", "-q", "origin", "main", "v1")
	for range 2 {
		a.pushed(t.Context(), source.Push{Repository: "web", Updates: []source.Update{{Ref: "refs/tags/v1"}, {Ref: "refs/heads/main"}}})
	}
	found, err := a.store.Executions(t.Context(), "web", 0, 10)
	if err != nil || len(found) != 1 || found[0].Revision.Tag != "v1" || found[0].Revision.Commit != git("rev-parse", "HEAD") {
		t.Errorf("executions %+v, %v", found, err)
	}
}
