package build

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

const (
	// mostReports bounds how many report files of one build are read.
	mostReports = 5000
	// mostKept bounds the tests and the files with coverage that are kept of all
	// reports of a build together; all are counted.
	mostKept = 50_000
)

// Reports keeps what the reports of builds say, whole. Record is called once
// for a build that has ended and has reports, by many builds at once, and again
// when the same job is given again: the later call replaces the earlier one.
type Reports interface {
	Record(ctx context.Context, run pipeline.TestRun) error
}

// readReports reads all files that the reports name. What cannot be read is
// said in the log: the commands have told whether the tests passed.
func (t trees) readReports(reports []buildspec.Report, log io.Writer) []pipeline.Report {
	var all []pipeline.Report
	left, room := mostReports, mostKept
	for _, r := range reports {
		results, err := report.NewResults(r.Name, r.Format)
		if err != nil {
			fmt.Fprintf(log, "warning: report %s: %v\n", r.Name, err)
			continue
		}
		files, err := t.find(search{Files: r.Files, Base: r.BaseDirectory, Symlinks: true})
		if err != nil {
			fmt.Fprintf(log, "warning: report %s: %v\n", r.Name, err)
			continue
		}
		if len(files) == 0 {
			fmt.Fprintf(log, "warning: report %s: no file matches %s\n", r.Name, strings.Join(r.Files, ", "))
		}
		if len(files) > left {
			fmt.Fprintf(log, "warning: report %s: it has %d files; no more than %d of a build are read\n", r.Name, len(files), mostReports)
			files = files[:left]
		}
		left -= len(files)
		for _, f := range files {
			if err := f.readInto(results); err != nil {
				fmt.Fprintf(log, "warning: report %s: %s: %v\n", r.Name, f.name, err)
			}
		}
		all = append(all, fitting(results.Report(), &room))
	}
	return all
}

// fitting leaves out of a report what there is no room for, of the tests first
// those that did not fail.
func fitting(r pipeline.Report, room *int) pipeline.Report {
	if len(r.Cases) > *room {
		r.Cases = slices.DeleteFunc(r.Cases, func(c pipeline.TestCase) bool { return c.Status != pipeline.TestFailing })
	}
	r.Cases = r.Cases[:min(len(r.Cases), *room)]
	*room -= len(r.Cases)
	r.Files = r.Files[:min(len(r.Files), *room)]
	*room -= len(r.Files)
	return r
}

func (f file) readInto(results *report.Results) error {
	opened, _, err := artifact.OpenRegular(f.root, f.path)
	if err != nil {
		return err
	}
	defer opened.Close()
	return results.Read(opened)
}

// record keeps what the reports say, if anything.
func (a Action) record(ctx context.Context, job pipeline.Job, reports []pipeline.Report, sum *pipeline.TestReport) error {
	if a.Reports == nil || sum == nil {
		return nil
	}
	now := a.Now
	if now == nil {
		now = time.Now
	}
	totals := *sum
	totals.Failures = nil
	err := a.Reports.Record(ctx, pipeline.TestRun{
		Pipeline: job.Pipeline, Execution: job.Execution, Stage: job.Stage, Attempt: job.Attempt, Action: job.Action.Name,
		Branch: job.Revision.Branch, Commit: job.Revision.Commit, At: now(), Totals: totals, Reports: reports,
	})
	if err != nil {
		return fmt.Errorf("keep the build's reports: %w", err)
	}
	return nil
}
