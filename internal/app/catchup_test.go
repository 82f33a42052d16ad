package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
)

const watchesReleases = "on: {push: {tags: ['v*']}}\nmode: parallel\n"

// writeDefinition writes the towline.yaml of a clone and commits it.
func writeDefinition(t *testing.T, git func(...string) string, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(git("rev-parse", "--show-toplevel"), "towline.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-q", "--allow-empty", "-m", "Define")
	return git("rev-parse", "HEAD")
}

// ran are the executions of web, oldest first, by what was pushed.
func ran(t *testing.T, a *App) (all []string) {
	t.Helper()
	found, err := a.store.Executions(t.Context(), "web", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		all = append([]string{fmt.Sprintf("%s %s%s", e.ID, e.Revision.Branch, e.Revision.Tag)}, all...)
	}
	return all
}

// TestTagsThatNobodyToldOfAreCaughtUp pushes tags while nobody is told, as
// during a restart.
func TestTagsThatNobodyToldOfAreCaughtUp(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	catchUp := func() {
		t.Helper()
		if err := a.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	writeDefinition(t, git, watchesReleases+definitionText)
	git("tag", "v1")
	git("push", "-q", "origin", "main", "v1")
	catchUp()
	if found := ran(t, a); len(found) != 0 {
		t.Errorf("a tag that was there before the first look started %v", found)
	}
	git("commit", "-q", "--allow-empty", "-m", "Second")
	git("tag", "-a", "-m", "release", "v2")
	git("tag", "other")
	git("push", "-q", "origin", "v2", "other")
	catchUp()
	catchUp()
	if diff := cmp.Diff([]string{"web-1 v2"}, ran(t, a)); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
	git("push", "-q", "origin", ":v1", ":v2")
	catchUp()
	git("push", "-q", "origin", "v1", "v2")
	catchUp()
	if diff := cmp.Diff([]string{"web-1 v2", "web-2 v1", "web-3 v2"}, ran(t, a)); diff != "" {
		t.Errorf("once tags were removed and pushed again, executions (-want +got):\n%s", diff)
	}
	// What only lies at it, and is no commit, is left alone.
	git("tag", "v-tree", "HEAD^{tree}")
	git("push", "-q", "origin", "v-tree")
	catchUp()
	if found := ran(t, a); len(found) != 3 {
		t.Errorf("the tag of a tree started %v", found)
	}
}

// TestTheTagsThatAMirrorBringsAreOld tells of a first look at a mirror, and of a
// second one.
func TestTheTagsThatAMirrorBringsAreOld(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	writeDefinition(t, git, watchesReleases+definitionText)
	for i := range 3 {
		tag := fmt.Sprint("v", i)
		git("tag", tag)
		git("push", "-q", "origin", "main", tag)
		if i == 1 {
			a.movedElsewhere(t.Context(), source.Push{Repository: "web", Updates: []source.Update{{Ref: "refs/heads/main"}, {Ref: "refs/tags/v0"}, {Ref: "refs/tags/v1"}}})
		}
	}
	a.movedElsewhere(t.Context(), source.Push{Repository: "web", Updates: []source.Update{{Ref: "refs/tags/v2"}}})
	if diff := cmp.Diff([]string{"web-1 v2"}, ran(t, a)); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
}

// TestATagRunsWhatABranchHasDefined pushes a tag of a commit whose towline.yaml
// has been replaced since.
func TestATagRunsWhatABranchHasDefined(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	tell := func(refs ...string) string {
		t.Helper()
		git(append([]string{"push", "-q", "origin"}, refs...)...)
		push := source.Push{Repository: "web"}
		for _, ref := range refs {
			push.Updates = append(push.Updates, source.Update{Ref: ref})
		}
		return strings.Join(a.pushed(t.Context(), push), "\n")
	}
	writeDefinition(t, git, watchesReleases+definitionText)
	git("tag", "v1")
	if lines := tell("refs/tags/v1"); !strings.Contains(lines, "no branch of web has defined the pipeline web") {
		t.Errorf("before any branch was pushed, the pusher reads:\n%s", lines)
	}
	writeDefinition(t, git, watchesReleases+strings.ReplaceAll(definitionText, "unit", "all"))
	git("tag", "v2", "HEAD~1")
	git("tag", "v3")
	// In the order in which git tells of them when tags are named first.
	tell("refs/tags/v2", "refs/tags/v3", "refs/heads/main")
	found, err := a.store.Executions(t.Context(), "web", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range found {
		got = append(got, e.Revision.Tag+" "+e.Definition.Stages[len(e.Definition.Stages)-1].Actions[0].Name)
	}
	if diff := cmp.Diff([]string{"v3 all", "v2 all"}, got); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
	d, err := a.store.Pipeline(t.Context(), "web")
	if last := d.Pipeline.Stages[len(d.Pipeline.Stages)-1]; err != nil || d.Pipeline.Version != 1 || last.Actions[0].Name != "all" || d.Pipeline.Mode != pipeline.ModeParallel {
		t.Errorf("%v, the definition is version %d of %+v", err, d.Pipeline.Version, last)
	}
}
