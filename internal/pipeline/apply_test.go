package pipeline_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/towline/towline/internal/pipeline"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// definition has a serial stage, a stage with two parallel actions followed by
// a third, and a last stage.
func definition() pipeline.Pipeline {
	action := func(name string, order int) pipeline.Action {
		return pipeline.Action{Name: name, RunOrder: order}
	}
	return pipeline.Pipeline{Name: "web", Stages: []pipeline.Stage{
		{Name: "Source", Actions: []pipeline.Action{action("push", 1)}},
		{Name: "Test", Actions: []pipeline.Action{action("unit", 1), action("lint", 1), action("report", 2)}},
		{Name: "Deploy", Actions: []pipeline.Action{action("production", 1)}},
	}}
}

func started(n int) pipeline.Started {
	return pipeline.Started{Execution: pipeline.Execution{
		ID: fmt.Sprintf("web-%d", n), Pipeline: "web", Number: n, Definition: definition(), Started: start,
	}}
}

func entered(n int, stage string) pipeline.StageEntered {
	return pipeline.StageEntered{Execution: fmt.Sprintf("web-%d", n), Stage: stage, Attempt: 1, At: start}
}

func ended(n int, stage, action string, outcome pipeline.Outcome) pipeline.ActionEnded {
	return pipeline.ActionEnded{
		Execution: fmt.Sprintf("web-%d", n), Stage: stage, Attempt: 1, Action: action, At: start,
		Result: pipeline.Result{Outcome: outcome},
	}
}

func runStage(n int, stage string) pipeline.Command {
	return pipeline.RunStage{Execution: fmt.Sprintf("web-%d", n), Stage: stage, Attempt: 1}
}

func runAction(n int, stage, action string) pipeline.Command {
	return pipeline.RunAction{Execution: fmt.Sprintf("web-%d", n), Stage: stage, Attempt: 1, Action: action}
}

// play applies the events and returns the commands of the last one. Ended
// executions are dropped between events, as the engine does.
func play(t *testing.T, events ...pipeline.Event) (pipeline.State, []pipeline.Command) {
	t.Helper()
	var s pipeline.State
	var commands []pipeline.Command
	for _, ev := range events {
		s.Executions = slices.DeleteFunc(s.Executions, pipeline.Execution.Done)
		var err error
		if s, commands, err = pipeline.Apply(s, ev); err != nil {
			t.Fatalf("Apply(%+v): %v", ev, err)
		}
	}
	return s, commands
}

func TestApplyCommandsWhatFollows(t *testing.T) {
	t.Parallel()
	source := []pipeline.Event{started(1), entered(1, "Source"), ended(1, "Source", "push", pipeline.Succeeded)}
	inTest := append(slices.Clone(source), entered(1, "Test"))
	for name, c := range map[string]struct {
		events []pipeline.Event
		want   []pipeline.Command
	}{
		"a new execution enters the first stage":               {source[:1], []pipeline.Command{runStage(1, "Source")}},
		"a worker in a stage is given the first run order":     {source[:2], []pipeline.Command{runAction(1, "Source", "push")}},
		"a stage that succeeded is followed by the next":       {source, []pipeline.Command{runStage(1, "Test")}},
		"actions of one run order start together":              {inTest, []pipeline.Command{runAction(1, "Test", "unit"), runAction(1, "Test", "lint")}},
		"a run order waits for all of the one before":          {append(slices.Clone(inTest), ended(1, "Test", "lint", pipeline.Succeeded)), nil},
		"a failed action lets its neighbour finish":            {append(slices.Clone(inTest), ended(1, "Test", "lint", pipeline.Failed)), nil},
		"nothing starts after a stage failed":                  {append(slices.Clone(inTest), ended(1, "Test", "lint", pipeline.Failed), ended(1, "Test", "unit", pipeline.Succeeded)), nil},
		"a fault ends the stage like a failure":                {append(slices.Clone(inTest), ended(1, "Test", "lint", pipeline.Faulted), ended(1, "Test", "unit", pipeline.Succeeded)), nil},
		"the next run order starts when the one before is out": {append(slices.Clone(inTest), ended(1, "Test", "lint", pipeline.Succeeded), ended(1, "Test", "unit", pipeline.Succeeded)), []pipeline.Command{runAction(1, "Test", "report")}},
		"a second execution waits for an occupied stage":       {[]pipeline.Event{started(1), started(2)}, nil},
		"a stage that is left is given to the one that waits":  {append(slices.Clone(source[:2]), started(2), ended(1, "Source", "push", pipeline.Succeeded)), []pipeline.Command{runStage(2, "Source"), runStage(1, "Test")}},
		"a stage that failed is given to the one that waits":   {append(slices.Clone(source[:2]), started(2), ended(1, "Source", "push", pipeline.Failed)), []pipeline.Command{runStage(2, "Source")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got := play(t, c.events...)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewerExecutionSupersedesTheOneThatWaits(t *testing.T) {
	t.Parallel()
	s, commands := play(t, started(1), started(2), started(3))
	var got []pipeline.ExecutionStatus
	for _, e := range s.Executions {
		got = append(got, e.Status)
	}
	want := []pipeline.ExecutionStatus{pipeline.ExecutionInProgress, pipeline.ExecutionSuperseded, pipeline.ExecutionInProgress}
	if diff := cmp.Diff(want, got); diff != "" || commands != nil {
		t.Errorf("statuses (-want +got):\n%scommands %v", diff, commands)
	}
}

func TestNothingEndsTwice(t *testing.T) {
	t.Parallel()
	s, _ := play(t, started(1), entered(1, "Source"), ended(1, "Source", "push", pipeline.Succeeded))
	for _, ev := range []pipeline.Event{started(1), entered(1, "Source"), ended(1, "Source", "push", pipeline.Failed), ended(9, "Source", "push", pipeline.Failed)} {
		if _, _, err := pipeline.Apply(s, ev); !errors.Is(err, pipeline.ErrStale) {
			t.Errorf("Apply(%+v) = %v, want ErrStale", ev, err)
		}
	}
}

func TestAnActionEndsOnceWhileItsNeighbourRuns(t *testing.T) {
	t.Parallel()
	unit := ended(1, "Test", "unit", pipeline.Succeeded)
	s, _ := play(t, started(1), entered(1, "Source"), ended(1, "Source", "push", pipeline.Succeeded), entered(1, "Test"), unit)
	if _, _, err := pipeline.Apply(s, unit); !errors.Is(err, pipeline.ErrStale) {
		t.Errorf("ending it again = %v, want ErrStale", err)
	}
	if _, _, err := pipeline.Apply(s, ended(1, "Test", "report", pipeline.Succeeded)); !errors.Is(err, pipeline.ErrStale) {
		t.Errorf("ending one that has not begun = %v, want ErrStale", err)
	}
}

func TestApplyLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	s, _ := play(t, started(1), entered(1, "Source"), started(2))
	before, _ := play(t, started(1), entered(1, "Source"), started(2))
	if _, _, err := pipeline.Apply(s, ended(1, "Source", "push", pipeline.Succeeded)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s); diff != "" {
		t.Errorf("input changed (-before +after):\n%s", diff)
	}
}

// TestRandomWalk drives the machine by its own commands in random order, with
// new executions and failures thrown in, and checks the invariants after each
// event.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := walk{running: map[pipeline.RunAction]bool{}, sequence: map[string]int{}}
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			w.step(t)
		}
		for len(w.pending) > 0 {
			w.obey(t, 0)
		}
		for _, e := range w.state.Executions {
			if !e.Done() {
				t.Fatalf("%s is %s with nothing left to do", e.ID, e.Status)
			}
		}
	})
}

type walk struct {
	state    pipeline.State
	pending  []pipeline.Command
	running  map[pipeline.RunAction]bool // started, and whether ended
	sequence map[string]int
	count    int
}

func (w *walk) step(t *rapid.T) {
	if len(w.pending) == 0 || rapid.IntRange(0, 9).Draw(t, "new") == 0 {
		w.count++
		w.apply(t, started(w.count))
		return
	}
	w.obey(t, rapid.IntRange(0, len(w.pending)-1).Draw(t, "command"))
}

// obey answers the command at i as the engine would.
func (w *walk) obey(t *rapid.T, i int) {
	command := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	switch c := command.(type) {
	case pipeline.RunStage:
		w.apply(t, pipeline.StageEntered{Execution: c.Execution, Stage: c.Stage, Attempt: c.Attempt, At: start})
	case pipeline.RunAction:
		outcome := rapid.SampledFrom([]pipeline.Outcome{pipeline.Succeeded, pipeline.Succeeded, pipeline.Succeeded, pipeline.Failed, pipeline.Faulted}).Draw(t, "outcome")
		w.running[c] = true
		w.apply(t, pipeline.ActionEnded{Execution: c.Execution, Stage: c.Stage, Attempt: c.Attempt, Action: c.Action, Result: pipeline.Result{Outcome: outcome}, At: start})
	}
}

func (w *walk) apply(t *rapid.T, ev pipeline.Event) {
	live := pipeline.State{Executions: slices.DeleteFunc(slices.Clone(w.state.Executions), pipeline.Execution.Done)}
	next, commands, err := pipeline.Apply(live, ev)
	if err != nil {
		t.Fatalf("Apply(%+v): %v", ev, err)
	}
	occupied := map[string]string{}
	for _, e := range next.Executions {
		if e.Sequence < w.sequence[e.ID] {
			t.Fatalf("%s: sequence went back", e.ID)
		}
		w.sequence[e.ID] = e.Sequence
		for _, s := range e.Stages {
			if s.Status != pipeline.StatusInProgress {
				continue
			}
			if other := occupied[s.Name]; other != "" {
				t.Fatalf("%s and %s both occupy %s", other, e.ID, s.Name)
			}
			if e.Done() {
				t.Fatalf("%s has ended and still occupies %s", e.ID, s.Name)
			}
			occupied[s.Name] = e.ID
		}
	}
	for _, c := range commands {
		if a, ok := c.(pipeline.RunAction); ok {
			if _, twice := w.running[a]; twice {
				t.Fatalf("%+v commanded twice", a)
			}
			w.running[a] = false
		}
	}
	w.state = next
	w.pending = append(w.pending, commands...)
}
