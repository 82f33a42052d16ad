package pipeline_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

// guarded is a pipeline with a build, a stage with an approval before a
// deployment, and conditions that the cases fill in.
func guarded(change func(*pipeline.Pipeline)) pipeline.Pipeline {
	p := pipeline.Pipeline{Name: "web", Version: 1, Stages: []pipeline.Stage{
		{Name: "Source", Actions: []pipeline.Action{{Name: "push", RunOrder: 1}}},
		{Name: "Deploy", Actions: []pipeline.Action{
			{Name: "go-ahead", RunOrder: 1, Type: pipeline.ActionType{Category: pipeline.CategoryApproval, Provider: "Manual"}},
			{Name: "production", RunOrder: 2},
		}},
	}}
	if change != nil {
		change(&p)
	}
	return p
}

// story plays a pipeline through events and remembers what each one came to.
type story struct {
	*testing.T
	definition pipeline.Pipeline
	state      pipeline.State
	commands   []pipeline.Command
	err        error
}

func (s *story) on(ev pipeline.Event) *story {
	s.Helper()
	next, commands, err := pipeline.Apply(s.state, ev)
	s.commands, s.err = commands, err
	if err == nil {
		s.state = next
	}
	return s
}

// ok fails the test when the last event was refused.
func (s *story) ok() *story {
	s.Helper()
	if s.err != nil {
		s.Fatal(s.err)
	}
	return s
}

func (s *story) start(n int) *story {
	s.Helper()
	ev := started(n)
	ev.Execution.Definition = s.definition
	return s.on(ev).ok()
}

// run lets a worker carry an action out.
func (s *story) run(n int, stage, action string, outcome pipeline.Outcome) *story {
	s.Helper()
	is := s.execution(n).Stage(stage)
	if is.Entered != is.Segment {
		ev := entered(n, stage)
		ev.Attempt, ev.Segment = is.Attempt, is.Segment
		s.on(ev).ok()
	}
	ev := ended(n, stage, action, outcome)
	ev.Attempt = is.Attempt
	return s.on(ev).ok()
}

// rule lets a worker answer a rule.
func (s *story) rule(n int, stage string, kind pipeline.ConditionKind, outcome pipeline.Outcome) *story {
	s.Helper()
	is := s.execution(n).Stage(stage)
	if is.Entered != is.Segment {
		ev := entered(n, stage)
		ev.Attempt, ev.Segment = is.Attempt, is.Segment
		s.on(ev).ok()
	}
	ev := ended(n, stage, "window", outcome)
	ev.Attempt, ev.Condition = is.Attempt, kind
	return s.on(ev).ok()
}

func (s *story) execution(n int) pipeline.Execution { return s.state.Executions[n-1] }

func (s *story) decide(n int, yes bool) *story {
	s.Helper()
	a := s.execution(n).Stage("Deploy").Actions[0]
	return s.on(pipeline.Approved{
		Execution: s.execution(n).ID, Stage: "Deploy", Action: "go-ahead", Yes: yes, By: "ann", At: start,
		Token: pipeline.ApprovalToken(s.execution(n).ID, "Deploy", a.Attempt, "go-ahead"),
	})
}

func tell(t *testing.T, change func(*pipeline.Pipeline)) *story {
	t.Helper()
	s := &story{T: t, definition: guarded(change)}
	return s.start(1)
}

// sourced is a story whose first execution has its source.
func sourced(t *testing.T, change func(*pipeline.Pipeline)) *story {
	t.Helper()
	return tell(t, change).run(1, "Source", "push", pipeline.Succeeded)
}

// waiting is a story whose first execution waits for an approval.
func waiting(t *testing.T) *story {
	t.Helper()
	s := sourced(t, nil)
	return s.on(entered(1, "Deploy")).ok()
}

func (s *story) want(n int, execution pipeline.ExecutionStatus, deploy pipeline.Status) {
	s.Helper()
	e := s.execution(n)
	if got := e.Stage("Deploy").Status; e.Status != execution || got != deploy {
		s.Errorf("execution %d is %s with its stage Deploy %s, want %s and %s", n, e.Status, got, execution, deploy)
	}
}

func TestApprovals(t *testing.T) {
	t.Parallel()
	t.Run("an approval is given to nobody here and the actions after it wait", func(t *testing.T) {
		t.Parallel()
		s := waiting(t)
		a := s.execution(1).Stage("Deploy").Actions
		if len(s.commands) != 0 || a[0].Status != pipeline.StatusInProgress || a[1].Status != pipeline.StatusPending || !a[0].Due.Equal(start.AddDate(0, 0, 7)) {
			t.Errorf("commands %v, actions %+v", s.commands, a)
		}
	})
	t.Run("approving asks for another worker for what follows", func(t *testing.T) {
		t.Parallel()
		s := waiting(t).decide(1, true).ok()
		want := []pipeline.Command{pipeline.RunStage{Execution: "web-1", Stage: "Deploy", Attempt: 1, Segment: 2}}
		if diff := cmp.Diff(want, s.commands); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
		s.run(1, "Deploy", "production", pipeline.Succeeded).want(1, pipeline.ExecutionSucceeded, pipeline.StatusSucceeded)
	})
	t.Run("rejecting fails the stage", func(t *testing.T) {
		t.Parallel()
		waiting(t).decide(1, false).ok().want(1, pipeline.ExecutionFailed, pipeline.StatusFailed)
	})
	t.Run("a second decision is refused", func(t *testing.T) {
		t.Parallel()
		if s := waiting(t).decide(1, true).ok().decide(1, false); !errors.Is(s.err, pipeline.ErrAlreadyDecided) {
			t.Errorf("error = %v", s.err)
		}
	})
	t.Run("a decision by the token of an earlier attempt is refused", func(t *testing.T) {
		t.Parallel()
		s := waiting(t).decide(1, false).ok()
		s.on(pipeline.RetryRequested{Execution: "web-1", Stage: "Deploy", At: start}).ok()
		ev := entered(1, "Deploy")
		ev.Attempt, ev.Segment = 2, s.execution(1).Stage("Deploy").Segment
		s.on(ev).ok()
		s.on(pipeline.Approved{Execution: "web-1", Stage: "Deploy", Action: "go-ahead", Token: pipeline.ApprovalToken("web-1", "Deploy", 1, "go-ahead"), Yes: true})
		if !errors.Is(s.err, pipeline.ErrBadToken) {
			t.Errorf("error = %v", s.err)
		}
	})
	t.Run("an approval that nobody gives fails when its time is over, and not before", func(t *testing.T) {
		t.Parallel()
		s := waiting(t)
		early := pipeline.Expired{Execution: "web-1", Stage: "Deploy", Action: "go-ahead", At: start.Add(time.Hour)}
		if s.on(early); !errors.Is(s.err, pipeline.ErrStale) {
			t.Errorf("too early: %v", s.err)
		}
		early.At = start.AddDate(0, 0, 7)
		s.on(early).ok().want(1, pipeline.ExecutionFailed, pipeline.StatusFailed)
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	stop := func(abandon bool) pipeline.Event {
		return pipeline.StopRequested{Execution: "web-1", Abandon: abandon, Reason: "wrong branch", At: start}
	}
	t.Run("stopping waits for what is in progress and starts nothing more", func(t *testing.T) {
		t.Parallel()
		s := waiting(t).on(stop(false)).ok()
		s.want(1, pipeline.ExecutionStopping, pipeline.StatusInProgress)
		s.decide(1, true).ok().want(1, pipeline.ExecutionStopped, pipeline.StatusStopped)
		if len(s.commands) != 0 {
			t.Errorf("commands %v", s.commands)
		}
	})
	t.Run("abandoning ends it at once and interrupts what runs", func(t *testing.T) {
		t.Parallel()
		s := tell(t, nil).on(entered(1, "Source")).ok().on(stop(true)).ok()
		if diff := cmp.Diff([]pipeline.Command{pipeline.CancelStage{Execution: "web-1", Stage: "Source", Attempt: 1}}, s.commands); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
		if e := s.execution(1); e.Status != pipeline.ExecutionStopped || e.Stages[0].Actions[0].Status != pipeline.StatusAbandoned {
			t.Errorf("%+v", e)
		}
	})
	t.Run("a stop that is asked for twice is refused, and an abandonment after it is not", func(t *testing.T) {
		t.Parallel()
		s := waiting(t).on(stop(false)).ok().on(stop(false))
		if !errors.Is(s.err, pipeline.ErrNotStoppable) || !strings.Contains(s.err.Error(), "to interrupt that, abandon it") {
			t.Errorf("error = %v", s.err)
		}
		s.on(stop(true)).ok().want(1, pipeline.ExecutionStopped, pipeline.StatusStopped)
		if s.on(stop(true)); !errors.Is(s.err, pipeline.ErrNotStoppable) {
			t.Errorf("error = %v", s.err)
		}
	})
	t.Run("an execution between stages stops at once", func(t *testing.T) {
		t.Parallel()
		s := tell(t, nil).start(2)
		s.on(pipeline.StopRequested{Execution: "web-2", At: start}).ok()
		if got := s.execution(2).Status; got != pipeline.ExecutionStopped {
			t.Errorf("status = %s", got)
		}
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	// red has an action that succeeded and two that failed or were not reached.
	red := func(t *testing.T) *story {
		return sourced(t, nil).on(entered(1, "Deploy")).ok().decide(1, true).ok().run(1, "Deploy", "production", pipeline.Failed)
	}
	for name, c := range map[string]struct {
		mode pipeline.RetryMode
		want []pipeline.Status
	}{
		"the failed actions run again and the others stay": {pipeline.RetryFailedActions, []pipeline.Status{pipeline.StatusSucceeded, pipeline.StatusPending}},
		"all actions run again":                            {pipeline.RetryAllActions, []pipeline.Status{pipeline.StatusPending, pipeline.StatusPending}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := red(t).on(pipeline.RetryRequested{Execution: "web-1", Stage: "Deploy", Mode: c.mode, At: start}).ok()
			stage := s.execution(1).Stage("Deploy")
			got := []pipeline.Status{stage.Actions[0].Status, stage.Actions[1].Status}
			if diff := cmp.Diff(c.want, got); diff != "" || stage.Attempt != 2 || stage.Manual != 1 || len(stage.Earlier) != 1 || len(stage.Earlier[0].Actions) != 2 {
				t.Errorf("actions (-want +got):\n%sstage %+v", diff, stage)
			}
			s.want(1, pipeline.ExecutionInProgress, pipeline.StatusInProgress)
		})
	}
	t.Run("a stage that has not failed is not retried", func(t *testing.T) {
		t.Parallel()
		if s := waiting(t).on(pipeline.RetryRequested{Execution: "web-1", Stage: "Deploy"}); !errors.Is(s.err, pipeline.ErrNotRetryable) {
			t.Errorf("error = %v", s.err)
		}
	})
	t.Run("a stage in which a newer execution has been is not retried", func(t *testing.T) {
		t.Parallel()
		s := red(t).start(2).run(2, "Source", "push", pipeline.Succeeded)
		if s.on(pipeline.RetryRequested{Execution: "web-1", Stage: "Deploy"}); !errors.Is(s.err, pipeline.ErrNotRetryable) {
			t.Errorf("error = %v", s.err)
		}
	})
	t.Run("a stage that was abandoned is retried", func(t *testing.T) {
		t.Parallel()
		s := waiting(t).on(pipeline.StopRequested{Execution: "web-1", Abandon: true, At: start}).ok()
		s.on(pipeline.RetryRequested{Execution: "web-1", Stage: "Deploy", At: start}).ok().want(1, pipeline.ExecutionInProgress, pipeline.StatusInProgress)
	})
}

func TestTransitionsAndModes(t *testing.T) {
	t.Parallel()
	closed := func(end pipeline.TransitionType, stage string, disabled bool) pipeline.Event {
		return pipeline.TransitionSet{Transition: pipeline.Transition{Stage: stage, Type: end, Reason: "freeze", At: start}, Disabled: disabled}
	}
	for name, ev := range map[string]pipeline.TransitionSet{
		"a closed way into a stage holds executions before it":  closed(pipeline.Inbound, "Deploy", true).(pipeline.TransitionSet),
		"a closed way out of a stage holds executions after it": closed(pipeline.Outbound, "Source", true).(pipeline.TransitionSet),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, nil).on(ev).ok().run(1, "Source", "push", pipeline.Succeeded)
			s.want(1, pipeline.ExecutionInProgress, pipeline.StatusPending)
			ev.Disabled = false
			s.on(ev).ok().want(1, pipeline.ExecutionInProgress, pipeline.StatusInProgress)
		})
	}
	for name, c := range map[string]struct {
		mode pipeline.ExecutionMode
		want []pipeline.ExecutionStatus
		in   []string // stages that the executions are in, in their order
	}{
		"superseding, the newest that waits takes the place of the others": {pipeline.ModeSuperseded,
			[]pipeline.ExecutionStatus{pipeline.ExecutionInProgress, pipeline.ExecutionSuperseded, pipeline.ExecutionInProgress}, []string{"Deploy", "", "Source"}},
		"queued, the oldest that waits is the next": {pipeline.ModeQueued,
			[]pipeline.ExecutionStatus{pipeline.ExecutionInProgress, pipeline.ExecutionInProgress, pipeline.ExecutionInProgress}, []string{"Deploy", "Source", ""}},
		"in parallel, nobody waits": {pipeline.ModeParallel,
			[]pipeline.ExecutionStatus{pipeline.ExecutionInProgress, pipeline.ExecutionInProgress, pipeline.ExecutionInProgress}, []string{"Deploy", "Source", "Source"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, func(p *pipeline.Pipeline) { p.Mode = c.mode }).start(2).start(3).run(1, "Source", "push", pipeline.Succeeded)
			var statuses []pipeline.ExecutionStatus
			var in []string
			for _, e := range s.state.Executions {
				statuses = append(statuses, e.Status)
				i := slices.IndexFunc(e.Stages, func(s pipeline.StageState) bool { return s.Status == pipeline.StatusInProgress })
				name := ""
				if i >= 0 {
					name = e.Stages[i].Name
				}
				in = append(in, name)
			}
			if diff := cmp.Diff(c.want, statuses) + cmp.Diff(c.in, in); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a 51st execution that would run in parallel is refused", func(t *testing.T) {
		t.Parallel()
		s := tell(t, func(p *pipeline.Pipeline) { p.Mode = pipeline.ModeParallel })
		for n := 2; n <= 50; n++ {
			s.start(n)
		}
		ev := started(51)
		ev.Execution.Definition = s.definition
		if s.on(ev); !errors.Is(s.err, pipeline.ErrTooMany) {
			t.Errorf("error = %v", s.err)
		}
	})
}

func TestConditions(t *testing.T) {
	t.Parallel()
	condition := func(result pipeline.ConditionResult) *pipeline.Condition {
		return &pipeline.Condition{Result: result, Rules: []pipeline.Rule{{Name: "window", Type: pipeline.ActionType{Category: pipeline.CategoryRule, Provider: "DeploymentWindow"}}}}
	}
	entry := func(result pipeline.ConditionResult) func(*pipeline.Pipeline) {
		return func(p *pipeline.Pipeline) { p.Stages[1].BeforeEntry = condition(result) }
	}
	success := func(result pipeline.ConditionResult) func(*pipeline.Pipeline) {
		return func(p *pipeline.Pipeline) { p.Stages[1].OnSuccess = condition(result) }
	}
	failure := func(c *pipeline.Condition) func(*pipeline.Pipeline) {
		return func(p *pipeline.Pipeline) { p.Stages[1].OnFailure = c }
	}
	deployed := func(t *testing.T, change func(*pipeline.Pipeline), outcome pipeline.Outcome) *story {
		return sourced(t, change).on(entered(1, "Deploy")).ok().decide(1, true).ok().run(1, "Deploy", "production", outcome)
	}
	t.Run("a condition before entry that is met lets the actions run", func(t *testing.T) {
		t.Parallel()
		s := sourced(t, entry(pipeline.ResultFail)).rule(1, "Deploy", pipeline.BeforeEntry, pipeline.Succeeded)
		s.decide(1, true).ok().run(1, "Deploy", "production", pipeline.Succeeded).want(1, pipeline.ExecutionSucceeded, pipeline.StatusSucceeded)
	})
	t.Run("a condition before entry that is not met fails the stage", func(t *testing.T) {
		t.Parallel()
		sourced(t, entry(pipeline.ResultFail)).rule(1, "Deploy", pipeline.BeforeEntry, pipeline.Failed).want(1, pipeline.ExecutionFailed, pipeline.StatusFailed)
	})
	t.Run("a condition before entry that is not met may skip the stage", func(t *testing.T) {
		t.Parallel()
		sourced(t, entry(pipeline.ResultSkip)).rule(1, "Deploy", pipeline.BeforeEntry, pipeline.Failed).want(1, pipeline.ExecutionSucceeded, pipeline.StatusSkipped)
	})
	t.Run("a condition that failed the stage can be overridden, and the actions run", func(t *testing.T) {
		t.Parallel()
		s := sourced(t, entry(pipeline.ResultFail)).rule(1, "Deploy", pipeline.BeforeEntry, pipeline.Failed)
		s.on(pipeline.Overridden{Execution: "web-1", Stage: "Deploy", Kind: pipeline.BeforeEntry, By: "ann", At: start}).ok()
		s.want(1, pipeline.ExecutionInProgress, pipeline.StatusInProgress)
		// The approval needs no worker, so that it waits at once.
		s.decide(1, true).ok().run(1, "Deploy", "production", pipeline.Succeeded).want(1, pipeline.ExecutionSucceeded, pipeline.StatusSucceeded)
	})
	t.Run("a condition of success that is not met fails the stage, and an override lets it succeed", func(t *testing.T) {
		t.Parallel()
		s := deployed(t, success(pipeline.ResultFail), pipeline.Succeeded).rule(1, "Deploy", pipeline.OnSuccess, pipeline.Failed)
		s.want(1, pipeline.ExecutionFailed, pipeline.StatusFailed)
		s.on(pipeline.Overridden{Execution: "web-1", Stage: "Deploy", Kind: pipeline.OnSuccess, At: start}).ok().want(1, pipeline.ExecutionSucceeded, pipeline.StatusSucceeded)
	})
	t.Run("a condition of success may ask for a rollback", func(t *testing.T) {
		t.Parallel()
		s := deployed(t, success(pipeline.ResultRollback), pipeline.Succeeded).rule(1, "Deploy", pipeline.OnSuccess, pipeline.Failed)
		if diff := cmp.Diff([]pipeline.Command{pipeline.RollBack{Execution: "web-1", Stage: "Deploy"}}, s.commands); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
	})
	t.Run("a failure without rules is answered at once", func(t *testing.T) {
		t.Parallel()
		s := deployed(t, failure(&pipeline.Condition{Result: pipeline.ResultRollback}), pipeline.Failed)
		if diff := cmp.Diff([]pipeline.Command{pipeline.RollBack{Execution: "web-1", Stage: "Deploy"}}, s.commands); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
	})
	t.Run("a failure is retried once by itself", func(t *testing.T) {
		t.Parallel()
		s := deployed(t, failure(&pipeline.Condition{Result: pipeline.ResultRetry}), pipeline.Failed)
		s.want(1, pipeline.ExecutionInProgress, pipeline.StatusInProgress)
		s.run(1, "Deploy", "production", pipeline.Failed).want(1, pipeline.ExecutionFailed, pipeline.StatusFailed)
		if got := s.execution(1).Stage("Deploy"); got.Attempt != 2 || got.Automatic != 1 {
			t.Errorf("attempt %d, automatic retries %d", got.Attempt, got.Automatic)
		}
	})
	t.Run("the rules of a failure that all succeed leave it at that", func(t *testing.T) {
		t.Parallel()
		s := deployed(t, failure(condition(pipeline.ResultRollback)), pipeline.Failed).rule(1, "Deploy", pipeline.OnFailure, pipeline.Succeeded)
		if s.want(1, pipeline.ExecutionFailed, pipeline.StatusFailed); len(s.commands) != 0 {
			t.Errorf("commands %v", s.commands)
		}
	})
	t.Run("an execution that another has followed is not overridden", func(t *testing.T) {
		t.Parallel()
		s := sourced(t, entry(pipeline.ResultFail)).rule(1, "Deploy", pipeline.BeforeEntry, pipeline.Failed).start(2).run(2, "Source", "push", pipeline.Succeeded)
		if s.on(pipeline.Overridden{Execution: "web-1", Stage: "Deploy", Kind: pipeline.BeforeEntry}); !errors.Is(s.err, pipeline.ErrNotLatest) {
			t.Errorf("error = %v", s.err)
		}
	})
}

func TestRollback(t *testing.T) {
	t.Parallel()
	back := func(s *story, n int, stage string) *story {
		return s.on(pipeline.Started{Stage: stage, Execution: pipeline.Execution{
			ID: "web-" + string(rune('0'+n)), Pipeline: "web", Number: n, Type: pipeline.ExecutionRollback, Target: "web-1", Definition: s.definition, Started: start,
		}})
	}
	t.Run("a rollback walks its one stage, whatever the transitions say", func(t *testing.T) {
		t.Parallel()
		s := waiting(t).decide(1, true).ok().run(1, "Deploy", "production", pipeline.Succeeded)
		s.on(pipeline.TransitionSet{Transition: pipeline.Transition{Stage: "Deploy", Type: pipeline.Inbound}, Disabled: true}).ok()
		back(s, 2, "Deploy").ok().want(2, pipeline.ExecutionInProgress, pipeline.StatusInProgress)
		s.on(entered(2, "Deploy")).ok().decide(2, true).ok().run(2, "Deploy", "production", pipeline.Succeeded).want(2, pipeline.ExecutionSucceeded, pipeline.StatusSucceeded)
	})
	t.Run("a stage that is occupied is not rolled back", func(t *testing.T) {
		t.Parallel()
		if s := back(waiting(t), 2, "Deploy"); !errors.Is(s.err, pipeline.ErrNoRollback) {
			t.Errorf("error = %v", s.err)
		}
	})
	for name, c := range map[string]struct {
		stage  string
		change func(*pipeline.Pipeline)
	}{
		"the first stage is not rolled back":              {"Source", nil},
		"executions in parallel are not rolled back":      {"Deploy", func(p *pipeline.Pipeline) { p.Mode = pipeline.ModeParallel }},
		"a stage that there is not cannot be rolled back": {"Staging", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, c.change).run(1, "Source", "push", pipeline.Failed)
			if back(s, 2, c.stage); !errors.Is(s.err, pipeline.ErrNoRollback) {
				t.Errorf("error = %v", s.err)
			}
		})
	}
}
