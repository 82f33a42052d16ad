package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

const (
	opensAfter  = 2 * time.Hour
	ruleTimeout = 3 * time.Hour
)

// closed has a stage that two rules guard: a window that is closed, and a check
// that runs beside it, if it is asked for.
func closed(t *testing.T, timeout time.Duration, check bool) *story {
	t.Helper()
	s := tell(t, func(p *pipeline.Pipeline) {
		rules := []pipeline.Rule{{Name: "window", Type: pipeline.ActionType{Category: pipeline.CategoryRule}, Timeout: int(timeout / time.Minute)}}
		if check {
			rules = append(rules, pipeline.Rule{Name: "check", Type: pipeline.ActionType{Category: pipeline.CategoryRule}})
		}
		p.Stages[0].BeforeEntry = &pipeline.Condition{Result: pipeline.ResultFail, Rules: rules}
	})
	return s.on(pipeline.StageEntered{Execution: "web-1", Stage: "Source", Attempt: 1, Segment: 1, At: start}).ok()
}

func answers(rule string, result pipeline.Result, at time.Time) pipeline.ActionEnded {
	return pipeline.ActionEnded{Execution: "web-1", Stage: "Source", Attempt: 1, Condition: pipeline.BeforeEntry, Action: rule, Result: result, At: at}
}

func due(at time.Time) pipeline.Expired {
	return pipeline.Expired{Execution: "web-1", Stage: "Source", Condition: pipeline.BeforeEntry, Action: "window", At: at}
}

func TestARuleThatWaitsHoldsNobody(t *testing.T) {
	t.Parallel()
	opens := start.Add(opensAfter)
	window := pipeline.Wait(opens, "the window")
	runWindow := pipeline.RunAction{Execution: "web-1", Stage: "Source", Attempt: 1, Condition: pipeline.BeforeEntry, Action: "window"}
	t.Run("it is run again by another worker when its time has come", func(t *testing.T) {
		t.Parallel()
		s := closed(t, 0, false).on(answers("window", window, start)).ok()
		e := s.execution(1)
		if len(s.commands) != 0 || len(pipeline.Running(e, "Source")) != 0 || !e.Due().Equal(opens) || e.Action(runWindow).Waits != "the window" {
			t.Errorf("commands %v, due %s, %+v", s.commands, e.Due(), e.Action(runWindow))
		}
		if s.on(due(opens.Add(-time.Second))); !errors.Is(s.err, pipeline.ErrStale) {
			t.Errorf("before its time: %v", s.err)
		}
		s.on(due(opens)).ok()
		if diff := cmp.Diff([]pipeline.Command{pipeline.RunStage{Execution: "web-1", Stage: "Source", Attempt: 1, Segment: 2}}, s.commands); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
		if s.on(due(opens)); !errors.Is(s.err, pipeline.ErrStale) {
			t.Errorf("it is asked for twice: %v", s.err)
		}
		s.on(pipeline.StageEntered{Execution: "web-1", Stage: "Source", Attempt: 1, Segment: 2, At: opens}).ok()
		if diff := cmp.Diff([]pipeline.Command{runWindow}, s.commands); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
		s.on(answers("window", pipeline.Result{Outcome: pipeline.Succeeded}, opens)).ok()
		if diff := cmp.Diff([]pipeline.Command{runAction(1, "Source", "push")}, s.commands); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
	})
	t.Run("it waits on while another rule runs, which its worker knows alone", func(t *testing.T) {
		t.Parallel()
		s := closed(t, 0, true).on(answers("window", window, start)).ok()
		if s.on(due(opens)); !errors.Is(s.err, pipeline.ErrStale) {
			t.Errorf("while the check runs: %v", s.err)
		}
		s.on(answers("check", pipeline.Result{Outcome: pipeline.Succeeded}, opens)).ok()
		if len(s.commands) != 0 {
			t.Errorf("commands %v", s.commands)
		}
		if s.on(due(opens)).ok(); len(s.commands) != 1 {
			t.Errorf("commands %v", s.commands)
		}
	})
	t.Run("its timeout counts from when it was first run", func(t *testing.T) {
		t.Parallel()
		s := closed(t, ruleTimeout, false).on(answers("window", window, start)).ok().on(due(opens)).ok()
		s.on(pipeline.StageEntered{Execution: "web-1", Stage: "Source", Attempt: 1, Segment: 2, At: opens}).ok()
		s.on(answers("window", pipeline.Wait(opens.AddDate(0, 0, 1), "the window"), opens)).ok()
		over := start.Add(ruleTimeout)
		if got := s.execution(1).Due(); !got.Equal(over) {
			t.Errorf("due %s, want %s", got, over)
		}
		s.on(due(over)).ok()
		e := s.execution(1)
		want := pipeline.Fail("it waited for the window, which did not come within 3h0m0s")
		if diff := cmp.Diff(&want, e.Action(runWindow).Result); diff != "" || e.Status != pipeline.ExecutionFailed {
			t.Errorf("%s, result (-want +got):\n%s", e.Status, diff)
		}
	})
	t.Run("a stop does not wait for it", func(t *testing.T) {
		t.Parallel()
		stop := pipeline.StopRequested{Execution: "web-1", At: start}
		for name, s := range map[string]*story{
			"while it waits":                  closed(t, 0, false).on(answers("window", window, start)).ok().on(stop).ok(),
			"when it is to be run again":      closed(t, 0, false).on(answers("window", window, start)).ok().on(due(opens)).ok().on(stop).ok(),
			"when it begins to wait after it": closed(t, 0, false).on(stop).ok().on(answers("window", window, start)).ok(),
		} {
			if e := s.execution(1); e.Status != pipeline.ExecutionStopped || e.Action(runWindow).Status != pipeline.StatusAbandoned || len(s.commands) != 0 {
				t.Errorf("%s: %s, %+v, %v", name, e.Status, e.Action(runWindow), s.commands)
			}
		}
	})
	t.Run("it can be set aside", func(t *testing.T) {
		t.Parallel()
		s := closed(t, 0, false).on(answers("window", window, start)).ok()
		s.on(pipeline.Overridden{Execution: "web-1", Stage: "Source", Kind: pipeline.BeforeEntry, By: "ann", At: start}).ok()
		if diff := cmp.Diff([]pipeline.Command{pipeline.RunStage{Execution: "web-1", Stage: "Source", Attempt: 1, Segment: 2}}, s.commands); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
	})
}
