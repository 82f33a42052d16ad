package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func TestShowTests(t *testing.T) {
	t.Parallel()
	run := func(execution string, covered int) pipeline.TestRun {
		return pipeline.TestRun{Execution: execution, Branch: "main", Commit: "3f9c2e1aa", Totals: pipeline.TestReport{
			Passed: 41, Failed: 1, Seconds: 3.24, Coverage: &pipeline.Coverage{Lines: 200, LinesCovered: covered, Branches: 10, BranchesCovered: 5},
		}}
	}
	action := client.TestedAction{
		Stage: "Test", Action: "unit", Runs: []pipeline.TestRun{run("web-12", 175), run("web-11", 100), run("web-10", 200)},
		Tests: []pipeline.TestHistory{
			{Suite: "com.acme.GreeterTest", Name: "french", Status: pipeline.TestFailing, Runs: 20, Failed: 2, Since: "web-11", LastFailed: "web-12", Message: "expected \x1b[31mBonjour\n\n1\n2\n3\n4\n5"},
			{Suite: "com.acme.ClockTest", Name: "ticks", Status: pipeline.TestPassed, Runs: 20, Failed: 3, LastFailed: "web-9", Flaky: "failed and passed on the same commit, a41b0c2", Message: "no"},
		},
	}
	want := []string{
		"Test/unit  web-12  main 3f9c2e1  41 passed, 1 failed  3.2s",
		" ✗ com.acme.GreeterTest french  failed in 2 of 20 runs, since web-11",
		"     expected ␛[31mBonjour", "     1", "     2", "     3", "     ...",
		" ~ com.acme.ClockTest ticks  failed in 3 of 20 runs, last in web-9",
		"     flaky: failed and passed on the same commit, a41b0c2",
		"     no",
		"   coverage  █▅█ 87.5% of 200 lines, 50.0% of 10 branches (+37.5 since the run before)",
	}
	if diff := cmp.Diff(want, showTests(action, false)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	action.Tests = nil
	if got := strings.Join(showTests(action, true), "\n"); !strings.HasSuffix(got, "\n   no flaky test in 3 runs") {
		t.Error(got)
	}
	coverageAlone := client.TestedAction{Stage: "Test", Action: "cover", Runs: []pipeline.TestRun{{Execution: "web-1", Totals: pipeline.TestReport{Coverage: &pipeline.Coverage{Lines: 4, LinesCovered: 1}}}}}
	if diff := cmp.Diff([]string{"Test/cover  web-1", "   coverage  ▃ 25.0% of 4 lines"}, showTests(coverageAlone, false)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}
