package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// standAs saves an execution of a pipeline of two stages that came so far.
func standAs(t testing.TB, db *store.DB, name string, number int, status pipeline.ExecutionStatus, second pipeline.Status, category pipeline.Category) {
	t.Helper()
	kind := pipeline.ActionType{Category: category, Owner: "AWS", Provider: "P"}
	e := pipeline.Execution{
		ID: fmt.Sprintf("%s-%d", name, number), Pipeline: name, Number: number, Status: status, Started: now.Add(time.Duration(number) * time.Minute),
		Revision:   pipeline.Revision{Commit: "c0ffee", Message: "Greet\n\n" + strings.Repeat("why ", 100), Author: "Ada"},
		Definition: pipeline.Pipeline{Name: name, Mode: pipeline.ModeQueued, Stages: []pipeline.Stage{{Name: "Test"}, {Name: "Deploy"}}},
		Stages: []pipeline.StageState{
			{Name: "Test", Status: pipeline.StatusSucceeded, Actions: []pipeline.ActionState{{Name: "unit", Status: pipeline.StatusSucceeded, Result: &pipeline.Result{Summary: strings.Repeat("long ", 100)}}}},
			{Name: "Deploy", Status: second, Actions: []pipeline.ActionState{{Name: "go", Type: kind, Status: second}}},
		},
	}
	err := db.Update(t.Context(), func(q store.Querier) error {
		return errors.Join(store.PutPipeline(t.Context(), q, pipeline.Pipeline{Name: name}, "repo-of-"+name, now), store.SaveExecution(t.Context(), q, e))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rows are pipelines as "name #last: why each unfinished one waits".
func rows(found []store.Standing) (lines []string) {
	for _, s := range found {
		line := s.Pipeline
		if s.Last != nil {
			line += fmt.Sprintf(" #%d %s", s.Last.Number, s.Last.Revision.Message)
		}
		for _, e := range s.State.Executions {
			if hold := s.State.Hold(e); hold != nil {
				line += " " + string(hold.Kind)
			} else {
				line += " runs"
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestPipelinesThatNeedALookComeFirst(t *testing.T) {
	t.Parallel()
	const ok, failed, in = pipeline.ExecutionSucceeded, pipeline.ExecutionFailed, pipeline.ExecutionInProgress
	db := open(t, t.TempDir())
	err := db.Update(t.Context(), func(q store.Querier) error {
		return store.PutPipeline(t.Context(), q, pipeline.Pipeline{Name: "new"}, "", now)
	})
	if err != nil {
		t.Fatal(err)
	}
	standAs(t, db, "calm", 1, failed, pipeline.StatusFailed, pipeline.CategoryDeploy)
	standAs(t, db, "calm", 2, ok, pipeline.StatusSucceeded, pipeline.CategoryDeploy)
	standAs(t, db, "calmer", 9, ok, pipeline.StatusSucceeded, pipeline.CategoryDeploy)
	standAs(t, db, "runs", 1, in, pipeline.StatusInProgress, pipeline.CategoryDeploy)
	standAs(t, db, "asks", 1, in, pipeline.StatusInProgress, pipeline.CategoryApproval)
	standAs(t, db, "asks", 2, in, pipeline.StatusPending, pipeline.CategoryApproval)
	standAs(t, db, "broken", 2, in, pipeline.StatusInProgress, pipeline.CategoryDeploy)
	standAs(t, db, "broken", 3, failed, pipeline.StatusFailed, pipeline.CategoryDeploy)
	want := []string{"broken #3 Greet runs", "asks #2 Greet approval stage", "runs #1 Greet runs", "calmer #9 Greet", "calm #2 Greet", "new"}
	t.Run("in one page", func(t *testing.T) {
		t.Parallel()
		found, total, err := db.Standings(t.Context(), store.StandingFilter{Limit: 100})
		if diff := cmp.Diff(want, rows(found)); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if diff := cmp.Diff(store.Standings{Pipelines: 6, Running: 2, Waiting: 1, Failed: 1}, total); diff != "" {
			t.Errorf("total (-want +got):\n%s", diff)
		}
	})
	t.Run("page by page", func(t *testing.T) {
		t.Parallel()
		var got []string
		after := ""
		for range want {
			found, _, err := db.Standings(t.Context(), store.StandingFilter{Limit: 1, After: after})
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			got, after = append(got, rows(found)...), found[0].Next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, _, err := db.Standings(t.Context(), store.StandingFilter{Limit: 1, After: "x"}); !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("a place that is none: %v", err)
		}
	})
	t.Run("as a text picks them", func(t *testing.T) {
		t.Parallel()
		found, total, err := db.Standings(t.Context(), store.StandingFilter{Limit: 100, Text: "OF-CALM"})
		if diff := cmp.Diff(want[3:5], rows(found)); err != nil || diff != "" || total.Pipelines != 2 {
			t.Errorf("%v, %+v (-want +got):\n%s", err, total, diff)
		}
	})
}

// TestPipelinesOfAnOlderTowlineStand has executions of a time when nobody kept
// how pipelines stand.
func TestPipelinesOfAnOlderTowlineStand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, err := store.OpenAt(t.Context(), dir, 19)
	if err != nil {
		t.Fatal(err)
	}
	const state = `{"id":"web-%d","number":%[1]d,"status":"%s","started":"2026-01-02T03:04:05.678Z","definition":{"executionMode":"QUEUED"},"stages":[{"name":"Test","status":"%s","actions":[{"name":"unit","status":"%[3]s"}]}]}`
	err = old.Update(t.Context(), func(q store.Querier) error {
		if _, err := q.Exec(t.Context(), `INSERT INTO pipelines (name, repository, definition, version, created, updated) VALUES ('web', 'web', '{}', 1, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z')`); err != nil {
			return err
		}
		for number, status := range map[int][2]string{1: {"Succeeded", "Succeeded"}, 2: {"InProgress", "InProgress"}, 3: {"InProgress", "Pending"}} {
			_, err := q.Exec(t.Context(), `INSERT INTO executions (id, pipeline, number, status, state) VALUES ($1, 'web', $2, $3, $4)`,
				fmt.Sprint("web-", number), number, status[0], fmt.Sprintf(state, number, status[0], status[1]))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, old.Close()); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	found, total, err := db.Standings(t.Context(), store.StandingFilter{Limit: 9})
	if diff := cmp.Diff([]string{"web #3  runs stage"}, rows(found)); err != nil || diff != "" || total.Waiting != 1 {
		t.Errorf("%v, %+v (-want +got):\n%s", err, total, diff)
	}
}
