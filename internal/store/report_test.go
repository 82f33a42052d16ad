package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// file keeps reports of a group, one of a build each.
func file(t *testing.T, db *store.DB, group string, first, last int) {
	t.Helper()
	err := db.Update(t.Context(), func(q store.Querier) error {
		for i := first; i <= last; i++ {
			r := store.FiledReport{ID: fmt.Sprintf("%s:%d", group, i), Group: group, Build: fmt.Sprintf("web:%d", i), Status: "SUCCEEDED", Record: []byte(`{}`)}
			if err := store.FileReport(t.Context(), q, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func reportIDs(t *testing.T, db *store.DB, f store.ReportFilter) (ids []string) {
	t.Helper()
	found, err := db.FiledReports(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range found {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestReportsAreKeptByGroup(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	addProject(t, db, "web")
	build(t, db, "web", "web:2")
	file(t, db, "web-unit", 1, 3)
	file(t, db, "web-unit", 2, 2) // the same again
	file(t, db, "web-e2e", 2, 2)
	if diff := cmp.Diff([]string{"web-unit:2", "web-unit:1"}, reportIDs(t, db, store.ReportFilter{Group: "web-unit", After: 3, Limit: 9})); diff != "" {
		t.Errorf("those of a group behind the first page (-want +got):\n%s", diff)
	}
	if got, err := db.FiledReport(t.Context(), "web-e2e:2"); err != nil || got.Build != "web:2" {
		t.Errorf("one of them: %+v, %v", got, err)
	}
	if err := errors.Join(removeBuild(t, db, "web:2"), db.RemoveReport(t.Context(), "web-unit:3")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web-unit:1"}, reportIDs(t, db, store.ReportFilter{Limit: 9})); diff != "" {
		t.Errorf("what is left without a build, and without a report (-want +got):\n%s", diff)
	}
	if err := db.RemoveReport(t.Context(), "web-unit:3"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("remove it again: %v", err)
	}
	if _, err := db.TestRun(t.Context(), pipeline.TestRun{Execution: "x"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("tests of nothing: %v", err)
	}
}

func TestAGroupKeepsSoManyReports(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	file(t, db, "shop-unit", 1, 2)
	file(t, db, "web-unit", 1, 1003)
	if ids := reportIDs(t, db, store.ReportFilter{Ascending: true, Limit: 2000}); len(ids) != 1002 || ids[0] != "shop-unit:1" || ids[2] != "web-unit:4" {
		t.Errorf("%d are kept, beginning with %v", len(ids), ids[:3])
	}
}
