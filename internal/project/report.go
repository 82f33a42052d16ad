package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// ReportKind tells reports of tests from those of coverage.
type ReportKind string

// The kinds of reports.
const (
	TestReports     ReportKind = "TEST"
	CoverageReports ReportKind = "CODE_COVERAGE"
)

// Report is what the files of one report of a build said, in short.
type Report struct {
	ID      string     `json:"id"` // group:UUID
	Group   string     `json:"group"`
	Name    string     `json:"name"` // in the buildspec
	Kind    ReportKind `json:"kind"`
	Build   string     `json:"build"` // id of the build
	Status  Status     `json:"status"`
	Created time.Time  `json:"created"`

	Passed   int                `json:"passed"`
	Failed   int                `json:"failed"`
	Skipped  int                `json:"skipped"`
	Seconds  float64            `json:"seconds,omitempty"`
	Coverage *pipeline.Coverage `json:"coverage,omitempty"`
	// Truncated says that there were more tests, or files, than are kept.
	Truncated bool `json:"truncated,omitempty"`

	// Run names what keeps the report whole.
	Run ActionRef `json:"run"`
}

// ReportFilter chooses reports, and where their list begins.
type ReportFilter = store.ReportFilter

// ListedReport is a report in a list.
type ListedReport struct {
	Report
	Place int64 // ReportFilter.After of what follows it
}

// run names what the reports of a build are kept by.
func (b Build) run() ActionRef {
	if b.Action != nil {
		return *b.Action
	}
	return ActionRef{Execution: b.UUID(), Stage: stageName, Attempt: 1, Name: actionName}
}

// whole is what the reports of one attempt of an action said.
func (r *Builder) whole(ctx context.Context, of ActionRef) (pipeline.TestRun, error) {
	return r.Store.TestRun(ctx, pipeline.TestRun{Execution: of.Execution, Stage: of.Stage, Attempt: of.Attempt, Action: of.Name})
}

// reports are what a build that ends has reported.
func (r *Builder) reports(ctx context.Context, b Build) ([]Report, error) {
	if b.Tests == nil || b.Batch != nil {
		return nil, nil
	}
	run, err := r.whole(ctx, b.run())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // nobody keeps reports here
	}
	if err != nil {
		return nil, err
	}
	var all []Report
	for _, one := range run.Reports {
		if len(one.Cases) > 0 || one.Coverage != nil {
			all = append(all, b.report(one))
		}
	}
	return all, nil
}

// report is one report of a build, in short.
func (b Build) report(of pipeline.Report) Report {
	group := b.group(of.Name)
	report := Report{
		ID: idOf(group, "report "+b.ID+" "+of.Name), Group: group, Name: of.Name, Kind: TestReports, Build: b.ID, Status: Succeeded, Created: b.Ended,
		Passed: of.Passed, Failed: of.Failed, Skipped: of.Skipped, Seconds: of.Seconds, Coverage: of.Coverage,
		Truncated: len(of.Cases) < of.Passed+of.Failed+of.Skipped, Run: b.run(),
	}
	if of.Failed > 0 {
		report.Status = Failed
	}
	if of.Coverage != nil {
		report.Kind = CoverageReports
		lines := 0
		for _, f := range of.Files {
			lines += f.Lines
		}
		report.Truncated = lines < of.Coverage.Lines
	}
	report.Run.LogFile = ""
	return report
}

// longestGroup bounds the name of a report group, in bytes.
const longestGroup = 128

// group is the name of the group of a report, by CodeBuild's rule: the one that
// the buildspec names by its ARN, or one of the project's own.
func (b Build) group(name string) string {
	if _, own, ok := strings.Cut(name, ":report-group/"); ok && strings.HasPrefix(name, "arn:") {
		name = own
	} else {
		name = b.Project + "-" + name
	}
	return name[:min(len(name), longestGroup)]
}

// file keeps the reports of a build that ends, and makes the groups that are
// not there.
func (r *Builder) file(ctx context.Context, q store.Querier, b *Build, all []Report) error {
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

// Report returns a report. The error is an *Error of the kind ErrNotFound when
// there is none of that id.
func (r *Builder) Report(ctx context.Context, id string) (Report, error) {
	filed, err := r.Store.FiledReport(ctx, id)
	if err != nil {
		return Report{}, noReport(id, err)
	}
	return readReport(filed)
}

func noReport(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return refuse(ErrNotFound, "there is no report %.300q", id)
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
func (r *Builder) Reports(ctx context.Context, f ReportFilter) ([]ListedReport, error) {
	all, err := r.Store.FiledReports(ctx, f)
	if err != nil {
		return nil, err
	}
	found := make([]ListedReport, 0, len(all))
	for _, filed := range all {
		one, err := readReport(filed)
		if err != nil {
			return nil, err
		}
		found = append(found, ListedReport{one, filed.Sequence})
	}
	return found, nil
}

// Whole returns what a report says, test by test and file by file. The error is
// an *Error of the kind ErrNotFound when there is no such report, or when it is
// so old that only its totals are kept.
func (r *Builder) Whole(ctx context.Context, id string) (Report, pipeline.Report, error) {
	one, err := r.Report(ctx, id)
	if err != nil {
		return Report{}, pipeline.Report{}, err
	}
	run, err := r.whole(ctx, one.Run)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Report{}, pipeline.Report{}, err
	}
	for _, whole := range run.Reports {
		if whole.Name == one.Name {
			return one, whole, nil
		}
	}
	return Report{}, pipeline.Report{}, refuse(ErrNotFound, "of report %.300q the totals alone are kept: there are newer ones of the project", id)
}

// DeleteReport forgets a report. The error is an *Error of the kind ErrNotFound
// when there is none of that id.
func (r *Builder) DeleteReport(ctx context.Context, id string) error {
	return noReport(id, r.Store.RemoveReport(ctx, id))
}
