package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

func TestAScheduleStartsEachTimeOnce(t *testing.T) {
	t.Parallel()
	a, git := setup(t)
	git("commit", "-q", "-m", "First")
	git("push", "-q", "origin", "main")
	commit := git("rev-parse", "HEAD")
	monday := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	p := pipeline.Pipeline{
		Name: "nightly", Mode: pipeline.ModeQueued, On: pipeline.On{Schedule: []pipeline.Schedule{{Cron: "0 6 * * 1-5", TimeZone: "Europe/Berlin"}}},
		Stages: []pipeline.Stage{{Name: "Test", Actions: []pipeline.Action{{Name: "unit", RunOrder: 1}}}},
	}
	if err := a.store.Update(t.Context(), func(q store.Querier) error { return store.PutPipeline(t.Context(), q, p, "web", monday) }); err != nil {
		t.Fatal(err)
	}
	started := func() int {
		t.Helper()
		found, err := a.store.Executions(t.Context(), "nightly", 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			if diff := cmp.Diff(pipeline.Trigger{Type: pipeline.TriggerSchedule, Detail: "0 6 * * 1-5"}, e.Trigger); diff != "" || e.Revision.Commit != commit {
				t.Errorf("trigger (-want +got):\n%srevision %+v", diff, e.Revision)
			}
		}
		return len(found)
	}
	for _, c := range []struct {
		name string
		at   time.Time
		want int
	}{
		{"before its time", monday.Add(59 * time.Minute), 0},
		{"at its time", monday.Add(time.Hour), 1},
		{"a moment later", monday.Add(time.Hour + 10*time.Second), 1},
		{"the next day, soon after a time that was missed", monday.Add(25*time.Hour + 9*time.Minute), 2},
		{"the day after, long after a time that was missed", monday.Add(49*time.Hour + 11*time.Minute), 2},
		{"on a day that is not in it", monday.AddDate(0, 0, 5).Add(time.Hour), 2},
	} {
		if err := a.schedule(t.Context(), c.at); err != nil {
			t.Fatal(err)
		}
		if got := started(); got != c.want {
			t.Errorf("%s: %d executions, want %d", c.name, got, c.want)
		}
	}
}
