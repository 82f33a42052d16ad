package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// Filter chooses reports, and where their list begins.
type Filter = store.ReportFilter

// Listed is a report in a list.
type Listed struct {
	Report
	Place int64 // Filter.After of what follows it
}

// Report returns a report. The error is a *project.Error of the kind
// ErrNotFound when there is none of that id.
func (s *Shelf) Report(ctx context.Context, id string) (Report, error) {
	filed, err := s.Store.FiledReport(ctx, id)
	if err != nil {
		return Report{}, noReport(id, err)
	}
	return readReport(filed)
}

func noReport(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return project.Refuse(project.ErrNotFound, "there is no report %.300q", id)
	}
	return err
}

func readReport(filed store.FiledReport) (one Report, err error) {
	if err := json.Unmarshal(filed.Record, &one); err != nil {
		return one, fmt.Errorf("read report %s: %w", filed.ID, err)
	}
	return one, nil
}

// Reports lists reports, those that were written last first.
func (s *Shelf) Reports(ctx context.Context, f Filter) ([]Listed, error) {
	all, err := s.Store.FiledReports(ctx, f)
	if err != nil {
		return nil, err
	}
	found := make([]Listed, 0, len(all))
	for _, filed := range all {
		one, err := readReport(filed)
		if err != nil {
			return nil, err
		}
		found = append(found, Listed{one, filed.Sequence})
	}
	return found, nil
}

// Whole returns what a report says, test by test and file by file. The error
// is a *project.Error of the kind ErrNotFound when there is no such report, or
// when it is so old that only its totals are kept.
func (s *Shelf) Whole(ctx context.Context, id string) (Report, pipeline.Report, error) {
	one, err := s.Report(ctx, id)
	if err != nil {
		return Report{}, pipeline.Report{}, err
	}
	run, err := s.whole(ctx, one.Run)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Report{}, pipeline.Report{}, err
	}
	for _, whole := range run.Reports {
		if whole.Name == one.Name {
			return one, whole, nil
		}
	}
	return Report{}, pipeline.Report{}, project.Refuse(project.ErrNotFound, "of report %.300q the totals alone are kept: there are newer ones of the project", id)
}

// DeleteReport forgets a report. The error is a *project.Error of the kind
// ErrNotFound when there is none of that id.
func (s *Shelf) DeleteReport(ctx context.Context, id string) error {
	return noReport(id, s.Store.RemoveReport(ctx, id))
}
