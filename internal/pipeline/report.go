package pipeline

import "time"

// mostFailures is how many failed tests a TestReport lists; all are counted.
const mostFailures = 100

// TestReport is what the reports of a build said, in short: it is kept with the
// execution. What they said whole is a TestRun.
type TestReport struct {
	Passed  int `json:"passed"`
	Failed  int `json:"failed"` // failures and errors
	Skipped int `json:"skipped"`
	// Seconds is how long the tests took, as far as the reports say.
	Seconds  float64      `json:"seconds,omitempty"`
	Failures []TestFailed `json:"failures,omitempty"` // at most 100
	// Coverage is nil when no report tells of it.
	Coverage *Coverage `json:"coverage,omitempty"`
}

// Tests is how many there were.
func (r TestReport) Tests() int { return r.Passed + r.Failed + r.Skipped }

// TestFailed is one test that failed, with the message it gave.
type TestFailed struct {
	Suite   string `json:"suite"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Coverage is how much of some code its tests have run.
type Coverage struct {
	Lines           int `json:"lines"` // that could be run
	LinesCovered    int `json:"linesCovered"`
	Branches        int `json:"branches,omitempty"` // ways out of conditions
	BranchesCovered int `json:"branchesCovered,omitempty"`
}

// Add counts the code of other in too.
func (c *Coverage) Add(other Coverage) {
	c.Lines += other.Lines
	c.LinesCovered += other.LinesCovered
	c.Branches += other.Branches
	c.BranchesCovered += other.BranchesCovered
}

// Percent is the part of the lines that was run, 0 to 100; 0 when there are
// none.
func (c *Coverage) Percent() float64 {
	if c.Lines == 0 {
		return 0
	}
	return 100 * float64(c.LinesCovered) / float64(c.Lines)
}

// Report is what the files of one report of a build say.
type Report struct {
	Name   string `json:"name"`   // as the buildspec calls the group
	Format string `json:"format"` // as the buildspec writes it: JUNITXML
	// Passed, Failed, Skipped and Seconds are of all tests; Cases may leave some
	// out.
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Skipped int     `json:"skipped"`
	Seconds float64 `json:"seconds,omitempty"`
	// Cases are in the order of the files.
	Cases []TestCase `json:"cases,omitempty"`
	// Coverage is that of all files; Files may leave some out. It is nil in a
	// report of tests.
	Coverage *Coverage     `json:"coverage,omitempty"`
	Files    []CoveredFile `json:"files,omitempty"`
}

// TestCase is one test as it went.
type TestCase struct {
	Suite   string     `json:"suite"`
	Name    string     `json:"name"`
	Status  TestStatus `json:"status"`
	Seconds float64    `json:"seconds,omitempty"`
	// Message is what a failed test said, and also what a Flaky one said when
	// it failed.
	Message string `json:"message,omitempty"`
	// Flaky means that the test has failed and passed when it was run again in
	// the same build.
	Flaky bool `json:"flaky,omitempty"`
}

// TestStatus is how a test went.
type TestStatus string

// The statuses of a TestCase.
const (
	TestPassed  TestStatus = "Passed"
	TestFailing TestStatus = "Failed"
	TestSkipped TestStatus = "Skipped"
)

// CoveredFile is a source file and how much of it the tests have run.
type CoveredFile struct {
	Path string `json:"path"` // as the report writes it
	Coverage
}

// TestRun is what the reports of one action said, whole.
type TestRun struct {
	Pipeline  string    `json:"pipeline"`
	Execution string    `json:"execution"`
	Stage     string    `json:"stage"`
	Attempt   int       `json:"attempt"`
	Action    string    `json:"action"`
	Branch    string    `json:"branch"`
	Commit    string    `json:"commit"`
	At        time.Time `json:"at"` // when the action ended
	// Totals have no failures: those are in the reports.
	Totals TestReport `json:"totals"`
	// Reports are nil in a run of which only the totals are still kept.
	Reports []Report `json:"reports,omitempty"`
}

// Summarize is the TestReport of some reports, nil when they say nothing.
func Summarize(reports []Report) *TestReport {
	var sum TestReport
	for _, r := range reports {
		sum.Passed += r.Passed
		sum.Failed += r.Failed
		sum.Skipped += r.Skipped
		sum.Seconds += r.Seconds
		for _, c := range r.Cases {
			if c.Status == TestFailing && len(sum.Failures) < mostFailures {
				sum.Failures = append(sum.Failures, TestFailed{Suite: c.Suite, Name: c.Name, Message: c.Message})
			}
		}
		if r.Coverage == nil {
			continue
		}
		if sum.Coverage == nil {
			sum.Coverage = &Coverage{}
		}
		sum.Coverage.Add(*r.Coverage)
	}
	if sum.Tests() == 0 && sum.Coverage == nil {
		return nil
	}
	return &sum
}
