package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

var testTime = time.Date(2026, 3, 2, 10, 15, 30, 0, time.UTC)

func runNumber(n int) pipeline.TestRun {
	return pipeline.TestRun{
		Pipeline: "web", Execution: fmt.Sprintf("web-%d", n), Stage: "Test", Attempt: 1, Action: "unit", Branch: "main", Commit: "c1",
		At: testTime.Add(time.Duration(n) * time.Minute), Totals: pipeline.TestReport{Passed: n, Coverage: &pipeline.Coverage{Lines: 4, LinesCovered: 3}},
		Reports: []pipeline.Report{{Name: "unit", Format: "JUNITXML", Passed: n, Cases: []pipeline.TestCase{{Suite: "s", Name: "a", Status: pipeline.TestPassed}}}},
	}
}

func record(t *testing.T, db *store.DB, runs ...pipeline.TestRun) {
	t.Helper()
	for _, run := range runs {
		if err := db.Record(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
}

func testRuns(t *testing.T, db *store.DB, limit int) (found []pipeline.TestRun) {
	t.Helper()
	err := db.TestRuns(t.Context(), "web", limit, func(run pipeline.TestRun) error {
		found = append(found, run)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRunsOfTestsAreKeptByAction(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	lint, api := runNumber(9), runNumber(3)
	lint.Action, api.Pipeline, api.Execution = "lint", "api", "api-3"
	again := runNumber(2)
	again.Totals.Failed, again.Reports = 5, nil
	record(t, db, runNumber(1), runNumber(2), runNumber(3), lint, api, again)
	want := []pipeline.TestRun{lint, again, runNumber(3)}
	if diff := cmp.Diff(want, testRuns(t, db, 2)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	of, err := db.TestRunsOf(t.Context(), "web-3")
	if diff := cmp.Diff([]pipeline.TestRun{runNumber(3)}, of); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	none, err := db.TestRunsOf(t.Context(), "web-77")
	if err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

func TestOldRunsOfTestsAreForgotten(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	for n := range 55 {
		record(t, db, runNumber(n))
	}
	runs := testRuns(t, db, 100)
	whole := 0
	for _, run := range runs {
		if run.Reports != nil {
			whole++
		}
	}
	if len(runs) != 55 || whole != 50 || runs[4].Reports != nil || runs[5].Reports == nil {
		t.Errorf("%d runs, %d of them whole", len(runs), whole)
	}
}
