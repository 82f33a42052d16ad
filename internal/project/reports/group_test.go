package reports_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/reports"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

// setup makes a Shelf with a database of its own.
func setup(t *testing.T) *reports.Shelf {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &reports.Shelf{Store: db, Now: time.Now}
}

// file files a report of a group within a transaction.
func file(t *testing.T, q store.Querier, id, group string) {
	t.Helper()
	if err := store.FileReport(t.Context(), q, store.FiledReport{ID: id, Group: group, Build: "web:1", Record: []byte(`{}`)}); err != nil {
		t.Error(err)
	}
}

// TestAGroupIsNotDeletedWithAReportThatComesMeanwhile files the first report of a
// group after its deletion was asked for, and before that has come to the
// database.
func TestAGroupIsNotDeletedWithAReportThatComesMeanwhile(t *testing.T) {
	t.Parallel()
	shelf := setup(t)
	if _, err := shelf.CreateGroup(t.Context(), reports.Group{Name: "unit", Kind: reports.OfTests}); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error)
	if err := shelf.Store.Update(t.Context(), func(q store.Querier) error {
		stats := shelf.Store.Handle().Stats
		before := stats().WaitCount
		go func() { deleted <- shelf.DeleteGroup(t.Context(), "unit", false) }()
		waittest.Until(t, "the deletion waits for the database", func() bool { return stats().WaitCount > before })
		file(t, q, "unit:1", "unit")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; !errors.Is(err, project.ErrInvalid) || !strings.Contains(err.Error(), "report group unit has reports: delete them first, or with it") {
		t.Errorf("deleted: %v", err)
	}
	if _, err := shelf.Report(t.Context(), "unit:1"); err != nil {
		t.Error(err)
	}
	if err := shelf.DeleteGroup(t.Context(), "unit", true); err != nil {
		t.Error(err)
	}
	if _, err := shelf.Report(t.Context(), "unit:1"); !errors.Is(err, project.ErrNotFound) {
		t.Errorf("its report: %v", err)
	}
	if err := shelf.DeleteGroup(t.Context(), "unit", true); !errors.Is(err, project.ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
}
