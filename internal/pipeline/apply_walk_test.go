package pipeline_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towline/towline/internal/pipeline"
)

// TestRandomWalk drives the machine by its own commands in random order, with
// everything thrown in that people and crashes do, and checks the invariants
// after each event. A hundred walks of 1,000 events and more are run; -rapid.checks
// runs more, and -rapid.seed repeats one.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWalk(t)
		for range rapid.IntRange(1000, 1500).Draw(t, "events") {
			w.step()
		}
		w.drain()
	})
}

// walk is a machine at work: what it has asked for, and what was seen of it.
type walk struct {
	*rapid.T
	definition pipeline.Pipeline
	state      pipeline.State
	all        map[string]pipeline.Execution // as last seen, those that have ended too
	pending    []pipeline.Command
	commanded  map[pipeline.RunAction]bool
	now        time.Time
	count      int
}

func newWalk(t *rapid.T) *walk {
	return &walk{T: t, definition: drawDefinition(t), all: map[string]pipeline.Execution{}, commanded: map[pipeline.RunAction]bool{}, now: start}
}

func drawDefinition(t *rapid.T) pipeline.Pipeline {
	p := pipeline.Pipeline{
		Name: "web", Version: 1,
		Mode: rapid.SampledFrom([]pipeline.ExecutionMode{"", pipeline.ModeSuperseded, pipeline.ModeQueued, pipeline.ModeParallel}).Draw(t, "mode"),
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "stages") {
		stage := pipeline.Stage{Name: fmt.Sprint("S", i)}
		for k := range rapid.IntRange(1, 3).Draw(t, "actions") {
			kind := rapid.SampledFrom([]pipeline.ActionType{
				{Category: pipeline.CategoryBuild}, {Category: pipeline.CategoryBuild},
				{Category: pipeline.CategoryApproval, Provider: "Manual"}, {Category: pipeline.CategoryTest, Owner: "Custom"},
			}).Draw(t, "type")
			stage.Actions = append(stage.Actions, pipeline.Action{Name: fmt.Sprint("A", k), Type: kind, RunOrder: rapid.IntRange(1, 2).Draw(t, "order")})
		}
		stage.BeforeEntry = drawCondition(t, 1, pipeline.ResultFail, pipeline.ResultSkip)
		stage.OnSuccess = drawCondition(t, 1, pipeline.ResultFail, pipeline.ResultRollback)
		stage.OnFailure = drawCondition(t, 0, pipeline.ResultFail, pipeline.ResultRollback, pipeline.ResultRetry, pipeline.ResultSkip)
		p.Stages = append(p.Stages, stage)
	}
	return p
}

func drawCondition(t *rapid.T, least int, results ...pipeline.ConditionResult) *pipeline.Condition {
	if !rapid.Bool().Draw(t, "conditional") {
		return nil
	}
	c := &pipeline.Condition{
		Result:    rapid.SampledFrom(results).Draw(t, "result"),
		RetryMode: rapid.SampledFrom([]pipeline.RetryMode{"", pipeline.RetryFailedActions, pipeline.RetryAllActions}).Draw(t, "mode"),
	}
	for i := range rapid.IntRange(least, 2).Draw(t, "rules") {
		c.Rules = append(c.Rules, pipeline.Rule{Name: fmt.Sprint("R", i), Type: pipeline.ActionType{Category: pipeline.CategoryRule}})
	}
	return c
}

// step lets one thing happen.
func (w *walk) step() {
	w.now = w.now.Add(time.Minute)
	switch rapid.IntRange(0, 19).Draw(w.T, "what") {
	case 0, 1:
		w.begin(pipeline.ExecutionStandard, "", "")
	case 2:
		w.try(pipeline.StopRequested{Execution: w.any(), Abandon: rapid.Bool().Draw(w.T, "abandon"), At: w.now}, pipeline.ErrNotStoppable)
	case 3:
		w.try(pipeline.RetryRequested{Execution: w.any(), Stage: w.stage(), Mode: rapid.SampledFrom([]pipeline.RetryMode{pipeline.RetryFailedActions, pipeline.RetryAllActions}).Draw(w.T, "mode"), At: w.now}, pipeline.ErrNotRetryable)
	case 4:
		w.try(pipeline.Overridden{Execution: w.any(), Stage: w.stage(), Kind: rapid.SampledFrom([]pipeline.ConditionKind{pipeline.BeforeEntry, pipeline.OnSuccess}).Draw(w.T, "kind"), At: w.now}, pipeline.ErrNotOverridable, pipeline.ErrNotLatest)
	case 5:
		w.try(pipeline.TransitionSet{
			Transition: pipeline.Transition{Stage: w.stage(), Type: rapid.SampledFrom([]pipeline.TransitionType{pipeline.Inbound, pipeline.Outbound}).Draw(w.T, "end"), At: w.now},
			Disabled:   rapid.Bool().Draw(w.T, "disabled"),
		})
	case 6:
		w.begin(pipeline.ExecutionRollback, w.any(), w.stage())
	case 7:
		w.crash()
	case 8, 9:
		w.outside(rapid.IntRange(0, 5).Draw(w.T, "which"))
	case 10:
		w.now = w.now.Add(26 * time.Hour)
		w.expireAll()
	default:
		if len(w.pending) > 0 {
			w.obey(rapid.IntRange(0, len(w.pending)-1).Draw(w.T, "command"))
		}
	}
}

func (w *walk) any() string {
	if w.count == 0 {
		return "web-0"
	}
	return fmt.Sprintf("web-%d", rapid.IntRange(max(1, w.count-4), w.count).Draw(w.T, "execution"))
}

func (w *walk) stage() string {
	return rapid.SampledFrom(w.definition.Stages).Draw(w.T, "stage").Name
}

func (w *walk) begin(kind pipeline.ExecutionType, target, stage string) {
	if kind == pipeline.ExecutionRollback {
		if s := w.all[target].Stage(stage); s == nil || s.Status != pipeline.StatusSucceeded {
			return
		}
	}
	w.count++
	w.try(pipeline.Started{Stage: stage, Execution: pipeline.Execution{
		ID: fmt.Sprintf("web-%d", w.count), Pipeline: "web", Number: w.count, Type: kind, Target: target, Definition: w.definition, Started: w.now,
	}}, pipeline.ErrTooMany, pipeline.ErrNoRollback)
}

// crash loses what the machine has asked for. At the next start a worker is
// asked for each stage that is in progress.
func (w *walk) crash() {
	w.pending = nil
	for _, e := range w.state.Executions {
		for _, s := range e.Stages {
			if !e.Done() && s.Status == pipeline.StatusInProgress {
				w.pending = append(w.pending, pipeline.RunStage{Execution: e.ID, Stage: s.Name, Attempt: s.Attempt, Segment: s.Segment})
			}
		}
	}
}

// outside ends the action with that index of those that somebody outside has
// to end.
func (w *walk) outside(which int) bool {
	for _, e := range w.state.Executions {
		for _, s := range e.Stages {
			for _, a := range s.Actions {
				if a.Status != pipeline.StatusInProgress || !a.Type.Outside() {
					continue
				}
				if which--; which >= 0 {
					continue
				}
				if a.Type.Manual() {
					w.try(pipeline.Approved{Execution: e.ID, Stage: s.Name, Action: a.Name, Token: pipeline.ApprovalToken(e.ID, s.Name, a.Attempt, a.Name), Yes: w.outcome() == pipeline.Succeeded, By: "ann", At: w.now})
				} else {
					w.try(pipeline.ActionEnded{Execution: e.ID, Stage: s.Name, Attempt: s.Attempt, Action: a.Name, Result: pipeline.Result{Outcome: w.outcome()}, At: w.now, Outside: true})
				}
				return true
			}
		}
	}
	return false
}

func (w *walk) expireAll() {
	for _, e := range w.state.Executions {
		for _, run := range e.Unattended() {
			if !e.Action(run).Due.After(w.now) {
				// The first of a stage may end others by what follows it.
				w.try(pipeline.Expired{Execution: e.ID, Stage: run.Stage, Condition: run.Condition, Action: run.Action, At: w.now}, pipeline.ErrStale)
			}
		}
	}
}

func (w *walk) outcome() pipeline.Outcome {
	return rapid.SampledFrom([]pipeline.Outcome{pipeline.Succeeded, pipeline.Succeeded, pipeline.Succeeded, pipeline.Failed, pipeline.Faulted}).Draw(w.T, "outcome")
}

// obey answers the command at i as the engine would.
func (w *walk) obey(i int) {
	command := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	switch c := command.(type) {
	case pipeline.RunStage:
		err := w.try(pipeline.StageEntered{Execution: c.Execution, Stage: c.Stage, Attempt: c.Attempt, Segment: c.Segment, At: w.now}, pipeline.ErrStale)
		if err != nil {
			w.takeUp(c)
		}
	case pipeline.RunAction:
		ended := pipeline.ActionEnded{Execution: c.Execution, Stage: c.Stage, Attempt: c.Attempt, Condition: c.Condition, Action: c.Action, Result: pipeline.Result{Outcome: w.outcome()}, At: w.now}
		if rapid.IntRange(0, 5).Draw(w.T, "waits") == 0 {
			ended.Result = pipeline.Wait(w.now.Add(time.Hour), "the window")
		}
		// What was abandoned ends too, and nobody listens.
		if w.try(ended, pipeline.ErrStale) == nil && !ended.Result.Again.IsZero() {
			delete(w.commanded, c) // It will be once more.
		}
	}
}

// takeUp runs again what a crash cut off.
func (w *walk) takeUp(c pipeline.RunStage) {
	s := w.all[c.Execution].Stage(c.Stage)
	if s.Status != pipeline.StatusInProgress || s.Attempt != c.Attempt || s.Segment != c.Segment {
		return
	}
	for _, again := range pipeline.Running(w.all[c.Execution], c.Stage) {
		if !slices.Contains(w.pending, pipeline.Command(again)) {
			w.pending = append(w.pending, again)
		}
	}
}

// try applies an event, which may be refused in the ways that are named only.
func (w *walk) try(ev pipeline.Event, allowed ...error) error {
	live := w.state
	live.Executions = nil
	var about string
	switch ev := ev.(type) {
	case pipeline.RetryRequested:
		about = ev.Execution
	case pipeline.Overridden:
		about = ev.Execution
	case pipeline.StopRequested:
		about = ev.Execution
	}
	for n := range w.count {
		e, known := w.all[fmt.Sprintf("web-%d", n+1)]
		if known && (!e.Done() || e.ID == about) {
			live.Executions = append(live.Executions, e)
		}
	}
	next, commands, err := pipeline.Apply(live, ev)
	if err != nil {
		allowed = append(allowed, pipeline.ErrStale, pipeline.ErrNoStage) // rollbacks have one stage
		if !slices.ContainsFunc(allowed, func(target error) bool { return errors.Is(err, target) }) {
			w.Fatalf("Apply(%+v): %v", ev, err)
		}
		return err
	}
	before := maps.Clone(w.all)
	for _, e := range next.Executions {
		w.all[e.ID] = e
	}
	w.state = next
	w.check(before, next, commands, ev)
	for _, c := range commands {
		switch c := c.(type) {
		case pipeline.RollBack:
			w.rollBack(c)
		case pipeline.CancelStage:
		default:
			w.pending = append(w.pending, c)
		}
	}
	return nil
}

// rollBack obeys at once, as the engine does in the same transaction.
func (w *walk) rollBack(c pipeline.RollBack) {
	count := w.count
	for n := w.count; n > 0; n-- {
		id := fmt.Sprintf("web-%d", n)
		if s := w.all[id].Stage(c.Stage); id != c.Execution && s != nil && s.Status == pipeline.StatusSucceeded {
			w.begin(pipeline.ExecutionRollback, id, c.Stage)
			break
		}
	}
	if _, began := w.all[fmt.Sprintf("web-%d", w.count)]; count == w.count || !began {
		w.try(pipeline.Woken{At: w.now})
	}
}

// drain lets everything come to its end.
func (w *walk) drain() {
	for _, s := range w.definition.Stages {
		for _, end := range []pipeline.TransitionType{pipeline.Inbound, pipeline.Outbound} {
			w.try(pipeline.TransitionSet{Transition: pipeline.Transition{Stage: s.Name, Type: end, At: w.now}})
		}
	}
	w.crash()
	for n := 0; n < 100_000 && w.goesOn(); n++ {
	}
	for _, e := range w.all {
		if !e.Done() {
			w.Fatalf("%s is %s with nothing left to do: %+v", e.ID, e.Status, e.Stages)
		}
	}
}

// goesOn lets the next thing happen, whoever does it, and tells whether there was
// one.
func (w *walk) goesOn() bool {
	waits := func(e pipeline.Execution) bool { return !e.Due().IsZero() }
	switch {
	case len(w.pending) > 0:
		w.obey(0)
	case w.outside(0):
	case slices.ContainsFunc(w.state.Executions, waits):
		w.now = w.now.Add(time.Hour)
		w.expireAll()
	default:
		return false
	}
	return true
}
