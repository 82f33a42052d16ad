package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// Shelf keeps the reports of one server. It is safe for concurrent use.
type Shelf struct {
	Store *store.DB
	Now   func() time.Time
}

// Of is what a build that ends has reported.
func (s *Shelf) Of(ctx context.Context, b project.Build) ([]Report, error) {
	if b.Tests == nil || b.Batch != nil {
		return nil, nil
	}
	run, err := s.whole(ctx, b.Attempt())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // nobody keeps reports here
	}
	if err != nil {
		return nil, err
	}
	var all []Report
	for _, one := range run.Reports {
		if len(one.Cases) > 0 || one.Coverage != nil {
			all = append(all, summary(b, one))
		}
	}
	return all, nil
}

// whole is what the reports of one attempt of an action said.
func (s *Shelf) whole(ctx context.Context, of project.ActionRef) (pipeline.TestRun, error) {
	return s.Store.TestRun(ctx, pipeline.TestRun{Execution: of.Execution, Stage: of.Stage, Attempt: of.Attempt, Action: of.Name})
}

// File keeps the reports of a build that ends within a transaction, and makes the
// groups that are not there.
func (s *Shelf) File(ctx context.Context, q store.Querier, b *project.Build, all []Report) error {
	b.Reports = nil
	for _, one := range all {
		text, err := json.Marshal(one)
		if err != nil {
			return fmt.Errorf("encode report %s: %w", one.ID, err)
		}
		g := store.ReportGroup{Name: one.Group, Kind: string(one.Kind), Definition: []byte(`{}`), Created: one.Created}
		if err := store.AddReportGroup(ctx, q, g); err != nil && !errors.Is(err, store.ErrExists) {
			return err
		}
		if err := store.FileReport(ctx, q, store.FiledReport{ID: one.ID, Group: one.Group, Build: b.ID, Status: string(one.Status), Record: text}); err != nil {
			return err
		}
		b.Reports = append(b.Reports, one.ID)
	}
	return nil
}
