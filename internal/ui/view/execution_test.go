package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/ui/view"
)

var began = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// ran is an action that ran in an attempt of its stage.
func ran(name string, status pipeline.Status, attempt int) pipeline.ActionState {
	a := pipeline.ActionState{Name: name, Status: status, Attempt: attempt, Started: began}
	if status != pipeline.StatusInProgress {
		a.Ended = began.Add(time.Second)
	}
	return a
}

func execution(stages ...pipeline.StageState) client.Execution {
	return client.Execution{Execution: pipeline.Execution{ID: "web-7", Pipeline: "web", Number: 7, Status: pipeline.ExecutionInProgress, Started: began, Stages: stages}}
}

func TestAReaderSeesWhatMattersFirst(t *testing.T) {
	t.Parallel()
	source := pipeline.StageState{Name: "Source", Attempt: 1, Actions: []pipeline.ActionState{ran("push", pipeline.StatusSucceeded, 1)}}
	for want, e := range map[string]client.Execution{
		"": execution(pipeline.StageState{Name: "Source", Actions: []pipeline.ActionState{{Name: "push", Status: pipeline.StatusPending}}}),
		"Test/lint": execution(source, pipeline.StageState{Name: "Test", Attempt: 2, Actions: []pipeline.ActionState{
			ran("unit", pipeline.StatusInProgress, 2), ran("lint", pipeline.StatusFailed, 2), ran("race", pipeline.StatusFailed, 2),
		}}),
		"Test/unit": execution(source, pipeline.StageState{Name: "Test", Attempt: 1, Actions: []pipeline.ActionState{
			ran("lint", pipeline.StatusSucceeded, 1), ran("unit", pipeline.StatusInProgress, 1), {Name: "race", Status: pipeline.StatusPending},
		}}),
		"Deploy/production": execution(source, pipeline.StageState{Name: "Deploy", Attempt: 1, Actions: []pipeline.ActionState{ran("production", pipeline.StatusSucceeded, 1)}}),
	} {
		got := ""
		if focus := view.Focus(e); focus != nil {
			got = focus.Stage + "/" + focus.Action.Name
		}
		if got != want {
			t.Errorf("the focus is %q, want %q", got, want)
		}
	}
}

func TestAttemptsAreFound(t *testing.T) {
	t.Parallel()
	e := execution(pipeline.StageState{
		Name: "Test", Attempt: 3, Actions: []pipeline.ActionState{ran("unit", pipeline.StatusSucceeded, 3), ran("lint", pipeline.StatusSucceeded, 1)},
		Earlier: []pipeline.StageAttempt{
			{Attempt: 1, Actions: []pipeline.ActionState{ran("unit", pipeline.StatusFailed, 1), ran("lint", pipeline.StatusSucceeded, 1)}},
			{Attempt: 2, Actions: []pipeline.ActionState{ran("unit", pipeline.StatusFailed, 2)}},
		},
	})
	for _, c := range []struct {
		stage, action string
		attempt       int
		want          pipeline.Status // "" when there is none
		attempts      []int
	}{
		{"Test", "unit", 3, pipeline.StatusSucceeded, []int{1, 2, 3}},
		{"Test", "unit", 1, pipeline.StatusFailed, []int{1, 2, 3}},
		{"Test", "lint", 1, pipeline.StatusSucceeded, []int{1}},
		{"Test", "lint", 3, "", nil}, // it ran in the first attempt alone
		{"Test", "unit", 4, "", nil},
		{"Test", "race", 1, "", nil},
		{"Deploy", "unit", 1, "", nil},
	} {
		found, ok := view.Find(e, c.stage, c.attempt, c.action)
		if ok != (c.want != "") || ok && (found.Action.Status != c.want || !cmp.Equal(found.Attempts, c.attempts)) {
			t.Errorf("%s %d of %s: %v %+v, want %s %v", c.action, c.attempt, c.stage, ok, found, c.want, c.attempts)
		}
	}
}

func TestPagesEscapeWhatIsForeign(t *testing.T) {
	t.Parallel()
	evil := `"><script>alert(1)</script>`
	failed := ran("unit"+evil, pipeline.StatusFailed, 1)
	failed.Result = &pipeline.Result{
		Outcome: pipeline.Failed, Message: evil, Summary: evil, Variables: map[string]string{evil: evil}, Artifacts: []pipeline.Artifact{{Name: evil}},
		Tests: &pipeline.TestReport{Failed: 1, Failures: []pipeline.TestFailed{{Suite: evil, Name: evil, Message: evil}}},
		Deployment: &pipeline.Deployment{App: evil, Namespace: evil, Strategy: evil, Verdict: &pipeline.Verdict{
			Requests: 2, Lost: 1, Hint: evil, Partial: evil, Marks: []pipeline.Mark{{Text: evil}}, Timeline: &pipeline.Timeline{EveryMs: 100, Requests: []int{1, 1}, Lost: []int{0, 1}},
		}},
	}
	e := execution(pipeline.StageState{Name: "Test" + evil, Status: pipeline.StatusFailed, Attempt: 1, Actions: []pipeline.ActionState{failed}})
	e.Revision = pipeline.Revision{Commit: evil, Message: evil, Author: evil, Repository: evil, Branch: evil}
	e.Trigger = pipeline.Trigger{Type: evil, Detail: evil}
	e.Reason, e.Hold = evil, &pipeline.Hold{Stage: "Test", Sentence: evil}
	e.Progress = map[string]string{"Test" + evil + "/unit" + evil: evil}
	page := view.Page{Title: evil, Path: "/" + evil, Session: client.Session{Name: evil, Role: client.Operator}, Problem: evil, Now: began}
	for name, render := range map[string]func(*strings.Builder) error{
		"execution": func(b *strings.Builder) error { return view.Execution(page, e, view.Focus(e)).Render(t.Context(), b) },
		"pipeline": func(b *strings.Builder) error {
			return view.OnePipeline(page, view.PipelineView{State: client.PipelineState{Name: evil}, Repository: evil, Executions: []client.Execution{e}}).Render(t.Context(), b)
		},
		"all": func(b *strings.Builder) error {
			return view.PipelineList(page, client.Overview{Next: evil, Rows: []client.Standing{{Name: evil, Repository: evil + evil, Last: &client.LastExecution{
				ID: evil, Message: evil, Author: evil, Commit: evil, Stages: []client.StageSpan{{Name: evil, Status: pipeline.Status(evil)}},
			}}}}, evil).Render(t.Context(), b)
		},
	} {
		var b strings.Builder
		if err := render(&b); err != nil {
			t.Fatal(name, err)
		}
		if text := b.String(); strings.Contains(text, "<script>alert") || !strings.Contains(text, "&lt;script&gt;") {
			t.Errorf("%s is not escaped:\n%s", name, text)
		}
	}
}
