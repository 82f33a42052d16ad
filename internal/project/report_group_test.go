package project_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

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
	y := setup(t)
	if _, err := y.CreateGroup(t.Context(), project.ReportGroup{Name: "unit", Kind: project.TestReports}); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error)
	if err := y.config.Store.Update(t.Context(), func(q store.Querier) error {
		stats := y.config.Store.Handle().Stats
		before := stats().WaitCount
		go func() { deleted <- y.DeleteGroup(t.Context(), "unit", false) }()
		waittest.Until(t, "the deletion waits for the database", func() bool { return stats().WaitCount > before })
		file(t, q, "unit:1", "unit")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; !errors.Is(err, project.ErrInvalid) || !strings.Contains(err.Error(), "report group unit has reports: delete them first, or with it") {
		t.Errorf("deleted: %v", err)
	}
	if _, err := y.Report(t.Context(), "unit:1"); err != nil {
		t.Error(err)
	}
	if err := y.DeleteGroup(t.Context(), "unit", true); err != nil {
		t.Error(err)
	}
	if _, err := y.Report(t.Context(), "unit:1"); !errors.Is(err, project.ErrNotFound) {
		t.Errorf("its report: %v", err)
	}
	if err := y.DeleteGroup(t.Context(), "unit", true); !errors.Is(err, project.ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
}
