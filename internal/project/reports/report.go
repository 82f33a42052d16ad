// Package reports keeps what the tests of builds have said, in short, in groups:
// its noun is the Report. A build that ends files its reports in the transaction
// that keeps its end; they are listed, compared and deleted from then on, also
// when the build is gone. It knows not how files of reports are read, nor how
// builds run.
package reports

import (
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
)

// Kind tells reports of tests from those of coverage.
type Kind string

// The kinds of reports.
const (
	OfTests    Kind = "TEST"
	OfCoverage Kind = "CODE_COVERAGE"
)

// Report is what the files of one report of a build said, in short.
type Report struct {
	ID      string         `json:"id"` // group:UUID
	Group   string         `json:"group"`
	Name    string         `json:"name"` // in the buildspec
	Kind    Kind           `json:"kind"`
	Build   string         `json:"build"` // id of the build
	Status  project.Status `json:"status"`
	Created time.Time      `json:"created"`

	Passed   int                `json:"passed"`
	Failed   int                `json:"failed"`
	Skipped  int                `json:"skipped"`
	Seconds  float64            `json:"seconds,omitempty"`
	Coverage *pipeline.Coverage `json:"coverage,omitempty"`
	// Truncated says that there were more tests, or files, than are kept.
	Truncated bool `json:"truncated,omitempty"`

	// Run names what keeps the report whole.
	Run project.ActionRef `json:"run"`
}

// longestGroup bounds the name of a report group, in characters.
const longestGroup = 128

// group is the name of the group of a report, by CodeBuild's rule: the one that
// the buildspec names by its ARN, or one of the project's own.
func group(b project.Build, name string) string {
	if _, own, ok := strings.Cut(name, ":report-group/"); ok && strings.HasPrefix(name, "arn:") {
		name = own
	} else {
		name = b.Project + "-" + name
	}
	runes := []rune(name) // Cut within a character it would be no text.
	return string(runes[:min(len(runes), longestGroup)])
}

// summary is one report of a build, in short.
func summary(b project.Build, of pipeline.Report) Report {
	in := group(b, of.Name)
	report := Report{
		ID: project.IDOf(in, "report "+b.ID+" "+of.Name), Group: in, Name: of.Name, Kind: OfTests, Build: b.ID, Status: project.Succeeded, Created: b.Ended,
		Passed: of.Passed, Failed: of.Failed, Skipped: of.Skipped, Seconds: of.Seconds, Coverage: of.Coverage,
		Truncated: len(of.Cases) < of.Passed+of.Failed+of.Skipped, Run: b.Attempt(),
	}
	if of.Failed > 0 {
		report.Status = project.Failed
	}
	if of.Coverage != nil {
		report.Kind = OfCoverage
		lines := 0
		for _, f := range of.Files {
			lines += f.Lines
		}
		report.Truncated = lines < of.Coverage.Lines
	}
	report.Run.LogFile = ""
	return report
}
