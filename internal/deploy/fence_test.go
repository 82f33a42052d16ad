package deploy

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/pipeline"
)

// history is a repository of commits c1 to c4, each after the one before.
func history(_ context.Context, older, newer string) (known, ancestor bool, err error) {
	if older == "broken" {
		return false, false, errors.New("no git")
	}
	return strings.HasPrefix(older, "c") && strings.HasPrefix(newer, "c"), older <= newer, nil
}

func TestTheFence(t *testing.T) {
	t.Parallel()
	revision := func(n int, commit string, outcome pipeline.Outcome, rollbackTo int) *journal.Entry {
		return &journal.Entry{Record: journal.Record{
			Deployment: pipeline.Deployment{Revision: n, Commit: commit, Outcome: outcome}, Phase: journal.Ended, RollbackTo: rollbackTo,
		}}
	}
	one, three := revision(1, "c1", pipeline.Succeeded, 0), revision(2, "c3", pipeline.Succeeded, 0)
	for _, c := range []struct {
		name     string
		entries  []*journal.Entry
		commit   string
		settings pipeline.Deploy
		want     string // of the refusal; empty: goes on
		log      string
	}{
		{"a newer commit", []*journal.Entry{one, three}, "c4", pipeline.Deploy{}, "", ""},
		{"the same one again", []*journal.Entry{one, three}, "c3", pipeline.Deploy{}, "", ""},
		{"one that was overtaken", []*journal.Entry{one, three}, "c2", pipeline.Deploy{}, "commit c2 is older than commit c3, which contains it and runs as revision 2", ""},
		{"one that was overtaken, on purpose", []*journal.Entry{one, three}, "c2", pipeline.Deploy{AllowOlder: true}, "", ""},
		{"a failed revision runs nothing", []*journal.Entry{one, revision(2, "c3", pipeline.Failed, 0)}, "c2", pipeline.Deploy{}, "", ""},
		{"what was rolled back from", []*journal.Entry{one, three, revision(3, "c1", pipeline.Succeeded, 1)}, "c3", pipeline.Deploy{}, "", ""},
		{"what is between after a rollback", []*journal.Entry{one, three, revision(3, "c1", pipeline.Succeeded, 1)}, "c2", pipeline.Deploy{}, "", ""},
		{"what is older than what was rolled back to", []*journal.Entry{three, revision(3, "c2", pipeline.Succeeded, 1)}, "c1", pipeline.Deploy{}, "commit c1 is older than commit c2", ""},
		{"a commit of another repository runs", []*journal.Entry{revision(1, "x9", pipeline.Succeeded, 0)}, "c2", pipeline.Deploy{}, "", "it is not known which of the two is newer"},
		{"nothing runs", nil, "c2", pipeline.Deploy{}, "", ""},
		{"no commit is deployed", []*journal.Entry{three}, "", pipeline.Deploy{}, "", ""},
		{"what runs has no commit", []*journal.Entry{revision(1, "", pipeline.Succeeded, 0)}, "c2", pipeline.Deploy{}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			r := &run{
				log: runbook.New(&log, nil), record: pipeline.Deployment{App: "web", Commit: c.commit},
				asked: asked{settings: c.settings, ancestry: history}, journal: &journal.Journal{Entries: c.entries},
			}
			err := r.fence(t.Context())
			if got := err != nil; got != (c.want != "") || got && (!refusal.Is(err) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if !strings.Contains(log.String(), c.log) || c.log == "" && log.Len() > 0 {
				t.Errorf("the log says %q, want %q", log.String(), c.log)
			}
		})
	}
	t.Run("a repository that cannot be asked is no refusal", func(t *testing.T) {
		t.Parallel()
		r := &run{log: runbook.New(io.Discard, nil), record: pipeline.Deployment{Commit: "broken"}, asked: asked{ancestry: history}, journal: &journal.Journal{Entries: []*journal.Entry{one}}}
		if err := r.fence(t.Context()); err == nil || refusal.Is(err) {
			t.Errorf("got %v", err)
		}
	})
}
