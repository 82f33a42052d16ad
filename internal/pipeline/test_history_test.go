package pipeline_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

// runOf is a run of one execution in which tests went as their letters say:
// p passed, f failed, s was skipped, b did both.
func runOf(execution, branch, commit, how string) pipeline.TestRun {
	run := pipeline.TestRun{Execution: execution, Branch: branch, Commit: commit}
	report := pipeline.Report{Name: "unit"}
	for i, letter := range how {
		name := string(rune('a' + i))
		test := func(status pipeline.TestStatus, message string) {
			report.Cases = append(report.Cases, pipeline.TestCase{Suite: "s", Name: name, Status: status, Message: message, Seconds: 1})
		}
		switch letter {
		case 'p':
			test(pipeline.TestPassed, "")
		case 'f':
			test(pipeline.TestFailing, "wrong in "+execution)
		case 's':
			test(pipeline.TestSkipped, "")
		case 'b':
			test(pipeline.TestFailing, "wrong in "+execution)
			test(pipeline.TestPassed, "")
		}
	}
	run.Reports = []pipeline.Report{report}
	return run
}

func TestHistoriesTellWhichTestsFailAndWhichAreFlaky(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runs []pipeline.TestRun // oldest first
		want []pipeline.TestHistory
	}{
		"nothing ran": {nil, []pipeline.TestHistory{}},
		"a test that always passes is not told of": {
			[]pipeline.TestRun{runOf("web-1", "main", "c1", "p"), runOf("web-2", "main", "c2", "p")}, []pipeline.TestHistory{},
		},
		"a test that broke and was mended is not flaky": {
			[]pipeline.TestRun{runOf("web-1", "main", "c1", "p"), runOf("web-2", "main", "c2", "f"), runOf("web-3", "main", "c3", "p")}, []pipeline.TestHistory{},
		},
		"a test that fails tells since when": {
			[]pipeline.TestRun{runOf("web-1", "main", "c1", "p"), runOf("web-2", "main", "c2", "f"), runOf("web-3", "main", "c3", "f")},
			[]pipeline.TestHistory{{Suite: "s", Name: "a", Status: pipeline.TestFailing, Runs: 3, Failed: 2, Since: "web-2", Message: "wrong in web-3", LastFailed: "web-3", Seconds: 1}},
		},
		"a test that failed and passed on one commit is flaky": {
			[]pipeline.TestRun{runOf("web-1", "main", "0123456789", "f"), runOf("web-2", "main", "0123456789", "p"), runOf("web-3", "main", "c3", "s")},
			[]pipeline.TestHistory{{Suite: "s", Name: "a", Status: pipeline.TestSkipped, Runs: 2, Failed: 1, Flaky: "failed and passed on the same commit, 0123456", Message: "wrong in web-1", LastFailed: "web-1", Seconds: 1}},
		},
		"a test that failed and passed in one build is flaky": {
			[]pipeline.TestRun{runOf("web-1", "main", "c1", "b")},
			[]pipeline.TestHistory{{Suite: "s", Name: "a", Status: pipeline.TestPassed, Runs: 1, Failed: 1, Flaky: "failed and passed on the same commit, c1", Message: "wrong in web-1", LastFailed: "web-1", Seconds: 2}},
		},
		"a test that changes again and again is flaky": {
			[]pipeline.TestRun{runOf("web-1", "main", "c1", "p"), runOf("web-2", "main", "c2", "f"), runOf("web-3", "main", "c3", "p"), runOf("web-4", "main", "c4", "f")},
			[]pipeline.TestHistory{{Suite: "s", Name: "a", Status: pipeline.TestFailing, Runs: 4, Failed: 2, Since: "web-4", Flaky: "changed 3 times between passing and failing on main", Message: "wrong in web-4", LastFailed: "web-4", Seconds: 1}},
		},
		"branches that differ do not make a test flaky": {
			[]pipeline.TestRun{runOf("web-1", "main", "c1", "p"), runOf("web-2", "topic", "c2", "f"), runOf("web-3", "main", "c3", "p"), runOf("web-4", "topic", "c4", "f"), runOf("web-5", "main", "c5", "p")},
			[]pipeline.TestHistory{},
		},
		"a test that is gone is not failing": {
			[]pipeline.TestRun{runOf("web-1", "main", "c1", "pf"), runOf("web-2", "main", "c2", "p")}, []pipeline.TestHistory{},
		},
		"sources without commits are compared by execution": {
			[]pipeline.TestRun{runOf("web-1", "", "", "p"), runOf("web-2", "", "", "f"), runOf("web-3", "", "", "p")}, []pipeline.TestHistory{},
		},
		"those that fail come first, then those that failed most often": {
			[]pipeline.TestRun{runOf("web-1", "main", "c1", "bbp"), runOf("web-2", "main", "c1", "pbf")},
			[]pipeline.TestHistory{
				{Suite: "s", Name: "c", Status: pipeline.TestFailing, Runs: 2, Failed: 1, Since: "web-2", Flaky: "failed and passed on the same commit, c1", Message: "wrong in web-2", LastFailed: "web-2", Seconds: 1},
				{Suite: "s", Name: "b", Status: pipeline.TestPassed, Runs: 2, Failed: 2, Flaky: "failed and passed on the same commit, c1", Message: "wrong in web-2", LastFailed: "web-2", Seconds: 2},
				{Suite: "s", Name: "a", Status: pipeline.TestPassed, Runs: 2, Failed: 1, Flaky: "failed and passed on the same commit, c1", Message: "wrong in web-1", LastFailed: "web-1", Seconds: 1.5},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h pipeline.Histories
			for _, run := range c.runs {
				h.Add(run)
			}
			if diff := cmp.Diff(c.want, h.Told()); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	if got := pipeline.Summarize([]pipeline.Report{{Name: "empty"}}); got != nil {
		t.Errorf("a report without tests: %+v", got)
	}
	got := pipeline.Summarize([]pipeline.Report{
		{Passed: 1, Failed: 1, Seconds: 1.5, Cases: []pipeline.TestCase{{Name: "a", Status: pipeline.TestPassed}, {Suite: "s", Name: "b", Status: pipeline.TestFailing, Message: "no"}}},
		{Coverage: &pipeline.Coverage{Lines: 3, LinesCovered: 1}},
		{Skipped: 2, Coverage: &pipeline.Coverage{Lines: 5, LinesCovered: 5, Branches: 2}},
	})
	want := &pipeline.TestReport{
		Passed: 1, Failed: 1, Skipped: 2, Seconds: 1.5, Failures: []pipeline.TestFailed{{Suite: "s", Name: "b", Message: "no"}},
		Coverage: &pipeline.Coverage{Lines: 8, LinesCovered: 6, Branches: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	if p := got.Coverage.Percent(); p != 75 {
		t.Errorf("%g%% are covered", p)
	}
}
