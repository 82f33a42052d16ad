package pipeline_test

import (
	"reflect"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// check holds the machine to its invariants after an event.
func (w *walk) check(before map[string]pipeline.Execution, next pipeline.State, commands []pipeline.Command, ev pipeline.Event) {
	occupied := map[string]string{}
	for _, e := range next.Executions {
		was, known := before[e.ID]
		if known && e.Sequence < was.Sequence {
			w.Fatalf("%+v: sequence of %s went back", ev, e.ID)
		}
		if known && e.Sequence == was.Sequence && !reflect.DeepEqual(e, was) {
			w.Fatalf("%+v: %s changed and its sequence did not:\n%+v\n%+v", ev, e.ID, was, e)
		}
		w.checkEnded(was, e, known, ev)
		w.checkChanges(was, e, ev)
		for i, s := range e.Stages {
			if s.Status != pipeline.StatusInProgress {
				w.checkIdle(e, s, ev)
				continue
			}
			if e.Done() {
				w.Fatalf("%+v: %s has ended and still occupies %s", ev, e.ID, s.Name)
			}
			if other := occupied[s.Name]; other != "" && e.Definition.Mode != pipeline.ModeParallel {
				w.Fatalf("%+v: %s and %s both occupy %s", ev, other, e.ID, s.Name)
			}
			occupied[s.Name] = e.ID
			if !known || was.Stages[i].Attempt == 0 {
				w.checkEntry(e, i, next, ev)
			}
		}
	}
	for _, c := range commands {
		w.checkCommand(c, ev)
	}
}

// checkEnded: what has ended stays as it ended, unless somebody asked for it.
func (w *walk) checkEnded(was, is pipeline.Execution, known bool, ev pipeline.Event) {
	if !known || !was.Done() || is.Status == was.Status {
		return
	}
	switch ev.(type) {
	case pipeline.RetryRequested, pipeline.Overridden:
	default:
		w.Fatalf("%+v: %s ended as %s and is now %s", ev, is.ID, was.Status, is.Status)
	}
}

// checkIdle: nothing is in progress in a stage that is not.
func (w *walk) checkIdle(e pipeline.Execution, s pipeline.StageState, ev pipeline.Event) {
	running := func(a pipeline.ActionState) bool { return a.Status == pipeline.StatusInProgress }
	asking := slices.ContainsFunc(s.Conditions, func(c pipeline.ConditionState) bool {
		return c.Status == pipeline.StatusInProgress || slices.ContainsFunc(c.Rules, running)
	})
	if asking || slices.ContainsFunc(s.Actions, running) {
		w.Fatalf("%+v: stage %s of %s is %s and something of it is in progress", ev, s.Name, e.ID, s.Status)
	}
}

// checkEntry: nobody enters by a closed transition, or before an older one that
// waits in a queue.
func (w *walk) checkEntry(e pipeline.Execution, i int, next pipeline.State, ev pipeline.Event) {
	if e.Type == pipeline.ExecutionRollback || e.Definition.Mode == pipeline.ModeParallel {
		return
	}
	stage := e.Stages[i].Name
	for _, t := range next.Disabled {
		if t.Type == pipeline.Inbound && t.Stage == stage || t.Type == pipeline.Outbound && i > 0 && t.Stage == e.Stages[i-1].Name {
			w.Fatalf("%+v: %s entered %s, which is closed", ev, e.ID, stage)
		}
	}
	if e.Definition.Mode != pipeline.ModeQueued {
		return
	}
	for _, older := range next.Executions {
		s := older.Stage(stage)
		if older.Number >= e.Number || older.Done() || older.Type == pipeline.ExecutionRollback || s.Status != pipeline.StatusPending {
			continue
		}
		before := older.Stages[:i]
		if !slices.ContainsFunc(before, func(s pipeline.StageState) bool {
			return s.Status != pipeline.StatusSucceeded && s.Status != pipeline.StatusSkipped
		}) {
			w.Fatalf("%+v: %s entered %s before %s, which waits", ev, e.ID, stage, older.ID)
		}
	}
}

// checkCommand: nothing is commanded twice, nor of an execution that has ended
// or is to stop, nor of a stage whose entry was not granted.
func (w *walk) checkCommand(c pipeline.Command, ev pipeline.Event) {
	run, ok := c.(pipeline.RunAction)
	if !ok {
		return
	}
	if w.commanded[run] {
		w.Fatalf("%+v: %+v commanded twice", ev, run)
	}
	w.commanded[run] = true
	e := w.all[run.Execution]
	if e.Status != pipeline.ExecutionInProgress {
		w.Fatalf("%+v: %+v commanded of an execution that is %s", ev, run, e.Status)
	}
	if run.Condition == "" {
		if c := e.Stage(run.Stage).Condition(pipeline.BeforeEntry); c != nil && c.Status != pipeline.StatusSucceeded && c.Status != pipeline.StatusOverridden {
			w.Fatalf("%+v: %+v commanded while the entry is %s", ev, run, c.Status)
		}
	}
}
