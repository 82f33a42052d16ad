package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	from "github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// TestASourceByItsURLIsMirrored defines a pipeline whose source is a URL, which
// wants credentials at first.
func TestASourceByItsURLIsMirrored(t *testing.T) {
	t.Parallel()
	far := newForgeFarAway(t)
	url := far.request.URL
	a, git := setup(t)
	now := time.Now()
	a.mirrors.now = func() time.Time { return now }
	commit := writeDefinition(t, git, fmt.Sprintf("pipeline: app\nstages:\n  - name: Fetch\n    actions: [{name: code, source: {git: %q}}]\n  - name: Go\n    actions: [{name: go, approve: {}}]\n", url))
	git("push", "-q", "origin", "main")
	lines := strings.Join(a.pushed(t.Context(), pushOf("main", commit)), "\n")
	if !strings.Contains(lines, "pipeline app takes its source from "+from.MirrorName(url)) || len(ids(t, a)) != 0 {
		t.Errorf("%v started, and the pusher reads:\n%s", ids(t, a), lines)
	}
	due := func() []string {
		t.Helper()
		urls, err := a.sourceMirrors.due(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return urls
	}
	run := func() (pipeline.Execution, error) {
		return a.run(t.Context(), engine.StartRequest{Pipeline: "app", Trigger: pipeline.Trigger{Type: pipeline.TriggerManual}}, "")
	}
	if diff := cmp.Diff([]string{url}, due()); diff != "" {
		t.Errorf("to be mirrored (-want +got):\n%s", diff)
	}
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "fetched for the first time") {
		t.Errorf("before it was tried: %v", err)
	}
	a.sourceMirrors.make(t.Context(), url)
	want := "towline mirror add " + from.MirrorName(url) + " " + url + " --password-file FILE"
	if _, err := run(); !errors.Is(err, from.ErrNoRepository) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "does not accept these credentials") {
		t.Errorf("when it wants credentials: %v", err)
	}
	if found := due(); len(found) != 0 {
		t.Errorf("without a pause it is tried again: %v", found)
	}

	far.public.Store(true)
	now = now.Add(sourceMirrorPause)
	for _, url := range due() {
		a.sourceMirrors.make(t.Context(), url)
	}
	e, err := a.store.Execution(t.Context(), "app-1")
	if err != nil || e.Revision.Repository != from.MirrorName(url) || e.Revision.Commit != far.git("rev-parse", "HEAD~1") || len(due()) != 0 {
		t.Errorf("%v, started %+v", err, e.Revision)
	}
	if _, err := a.store.Pipeline(t.Context(), "web"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the towline.yaml of a repository that nobody has added is obeyed: %v", err)
	}
	if e, err := run(); err != nil || e.ID != "app-2" {
		t.Errorf("run by hand: %v, %+v", err, e.ID)
	}
	// Once somebody adds it, it is a mirror like any other.
	far.git("commit", "-q", "--allow-empty", "-m", "Third")
	far.git("push", "-q", "origin", "HEAD:main")
	request := far.request
	request.Name, request.Replace = from.MirrorName(url), true
	if _, err := a.mirrors.Add(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if d, err := a.store.Pipeline(t.Context(), "web"); err != nil || d.Repository != request.Name {
		t.Errorf("the towline.yaml of a mirror that was added is not obeyed: %v", err)
	}
}
