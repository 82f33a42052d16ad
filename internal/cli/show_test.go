package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// execution is one whose deployment runs, seven seconds after its start.
func execution() client.Execution {
	after := func(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }
	action := func(name string, status pipeline.Status, from, to float64, result *pipeline.Result) pipeline.ActionState {
		a := pipeline.ActionState{Name: name, Status: status, Started: after(from), Result: result}
		if to > 0 {
			a.Ended = after(to)
		}
		return a
	}
	ok := func(summary string) *pipeline.Result {
		return &pipeline.Result{Outcome: pipeline.Succeeded, Summary: summary}
	}
	return client.Execution{
		Execution: pipeline.Execution{
			ID: "web-2", Pipeline: "web", Number: 2, Status: pipeline.ExecutionInProgress, Started: began,
			Revision: pipeline.Revision{Branch: "main", Commit: "3f9c2e1aaaaaaaa", Message: "Greet in French"},
			Stages: []pipeline.StageState{
				{Name: "Source", Status: pipeline.StatusSucceeded, Attempt: 1, Actions: []pipeline.ActionState{action("push", pipeline.StatusSucceeded, 0, 0.1, ok("push 3f9c2e1"))}},
				{Name: "Test", Status: pipeline.StatusSucceeded, Attempt: 1, Actions: []pipeline.ActionState{
					action("unit", pipeline.StatusSucceeded, 0.2, 3.4, ok("42 passed · PostgreSQL 15")),
					action("lint", pipeline.StatusSucceeded, 0.2, 4.2, ok("")),
				}},
				{Name: "Deploy", Status: pipeline.StatusInProgress, Attempt: 1, Actions: []pipeline.ActionState{action("production", pipeline.StatusInProgress, 4.5, 0, nil)}},
				{Name: "After", Status: pipeline.StatusPending, Actions: []pipeline.ActionState{{Name: "smoke", Status: pipeline.StatusPending}}},
			},
		},
		Progress: map[string]string{"Deploy/production": "2/3 new pods ready, 1 old"},
	}
}

func TestShowExecution(t *testing.T) {
	t.Parallel()
	want := []string{
		`web  #2  main 3f9c2e1 "Greet in French"  InProgress  0:07`,
		` ✓ Source  push          0.1s  push 3f9c2e1`,
		` ✓ Test    unit          3.2s  42 passed · PostgreSQL 15`,
		` ✓ Test    lint          4.0s`,
		` ● Deploy  production    2.5s  2/3 new pods ready, 1 old`,
		` ○ After   smoke`,
	}
	if diff := cmp.Diff(want, showExecution(execution(), began.Add(7*time.Second), 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShowExecutionTellsTheVerdictAndTheWayBack(t *testing.T) {
	t.Parallel()
	e := execution()
	a := &e.Stages[2].Actions[0]
	a.Status, a.Ended = pipeline.StatusSucceeded, began.Add(9*time.Second)
	a.Result = &pipeline.Result{Outcome: pipeline.Succeeded, Deployment: &pipeline.Deployment{App: "web", Verdict: &pipeline.Verdict{Requests: 1204, LongestGapMs: 14}}}
	lines := showExecution(e, began.Add(9*time.Second), 0)
	want := " verdict  0 of 1204 requests lost · longest gap 14 ms · rollback: towline rollback web"
	if got := lines[len(lines)-1]; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, line := range showExecution(e, began, 40) {
		if n := len([]rune(line)); n > 39 {
			t.Errorf("%d runes in %q", n, line)
		}
	}
}

func TestFailuresAreToldWhole(t *testing.T) {
	t.Parallel()
	e := execution()
	e.Stages[1].Actions[0].Result = &pipeline.Result{Outcome: pipeline.Failed, Message: "2 tests failed:\n  TestGreeting: not polite\n"}
	want := []string{"Test/unit failed:", "  2 tests failed:", "    TestGreeting: not polite"}
	if diff := cmp.Diff(want, failures(e)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOverheadIsTheTimeWithoutAnyAction(t *testing.T) {
	t.Parallel()
	e := execution()
	e.Stages = e.Stages[:3]
	e.Stages[2].Actions[0].Ended = began.Add(8 * time.Second)
	e.Ended = began.Add(8250 * time.Millisecond)
	// 0.1 s before the tests, 0.3 s before the deployment, 0.25 s after it: the
	// two tests that overlap count once.
	if got := overhead(e); got != 650*time.Millisecond {
		t.Errorf("overhead %s", got)
	}
}

func TestBuildOutputCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	if got := printable("a\x1b[2Jb\tc\r\x7f\u009bd"); got != "a␛[2Jb\tc␍\ufffd\ufffdd" {
		t.Errorf("got %q", got)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\x07")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range printable(text) {
			if (r < 0x20 && r != '\t') || (r >= 0x7f && r < 0xa0) {
				t.Errorf("%q lets %U through", text, r)
			}
		}
	})
}
