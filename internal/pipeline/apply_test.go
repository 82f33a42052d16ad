package pipeline_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	return pipeline.StageEntered{Execution: fmt.Sprintf("web-%d", n), Stage: stage, Attempt: 1, Segment: 1, At: start}
}

func ended(n int, stage, action string, outcome pipeline.Outcome) pipeline.ActionEnded {
	return pipeline.ActionEnded{
		Execution: fmt.Sprintf("web-%d", n), Stage: stage, Attempt: 1, Action: action, At: start,
		Result: pipeline.Result{Outcome: outcome},
	}
}

func runStage(n int, stage string) pipeline.Command {
	return pipeline.RunStage{Execution: fmt.Sprintf("web-%d", n), Stage: stage, Attempt: 1, Segment: 1}
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
