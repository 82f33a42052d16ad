package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Apply is the state machine: what is, and what happened, to what is then and
// what is to be done. It changes nothing that s refers to. The states and
// their arrows are drawn in docs/state_machine.md.
//
// The rules: an execution walks its stages in order; one execution at a time
// occupies a stage, unless they run in parallel; of two that wait for the same
// stage the newer supersedes the older, unless they are queued; the actions of
// a stage run by run order, those of equal run order together; when one of
// them fails, the others of that run order are awaited, the stage and the
// execution fail, and the stage is free again. What the stage's conditions say
// comes before, between and after.
func Apply(s State, event Event) (State, []Command, error) {
	m := machine{executions: slices.Clone(s.Executions), others: s.Others, latest: maps.Clone(s.Latest), disabled: slices.Clone(s.Disabled)}
	var err error
	switch ev := event.(type) {
	case Started:
		err = m.start(ev)
	case StageEntered:
		err = m.enterStage(ev)
	case ActionEnded:
		err = m.endAction(ev)
	case Approved:
		err = m.decide(ev)
	case Expired:
		err = m.expire(ev)
	case StopRequested:
		err = m.stop(ev)
	case RetryRequested:
		err = m.retry(ev)
	case Overridden:
		err = m.override(ev)
	case TransitionSet:
		m.setTransition(ev)
	case Woken:
		m.claim(ev.At)
	default:
		err = fmt.Errorf("apply %T: no such event", event)
	}
	if err != nil {
		return s, nil, err
	}
	return State{Executions: m.executions, Others: m.others, Latest: m.latest, Disabled: m.disabled}, m.commands, nil
}

// machine is the working copy of one Apply.
type machine struct {
	executions []Execution
	others     int
	latest     map[string]string
	disabled   []Transition
	commands   []Command
}

func (m *machine) command(c Command) { m.commands = append(m.commands, c) }

// find is the execution, in a copy that may be changed.
func (m *machine) find(id string) (*Execution, error) {
	for i := range m.executions {
		if m.executions[i].ID == id {
			return m.own(i), nil
		}
	}
	return nil, fmt.Errorf("execution %s: %w", id, ErrStale)
}

// findStage is the execution and one of its stages, in a copy that may be
// changed.
func (m *machine) findStage(id, stage string) (*Execution, *StageState, error) {
	e, err := m.find(id)
	if err != nil {
		return nil, nil, err
	}
	s := e.Stage(stage)
	if s == nil {
		return nil, nil, fmt.Errorf("execution %s, stage %s: %w", id, stage, ErrNoStage)
	}
	return e, s, nil
}

// open finds the stage attempt that an event is about: it must be in progress.
func (m *machine) open(id, stage string, attempt int) (*Execution, *StageState, error) {
	e, s, err := m.findStage(id, stage)
	if err != nil {
		return nil, nil, err
	}
	if e.Done() || s.Status != StatusInProgress || s.Attempt != attempt {
		return nil, nil, fmt.Errorf("stage %s of %s, attempt %d: %w", stage, id, attempt, ErrStale)
	}
	return e, s, nil
}

// own makes the execution at i safe to change without changing the State that
// Apply was given.
func (m *machine) own(i int) *Execution {
	e := &m.executions[i]
	e.Stages = slices.Clone(e.Stages)
	for k := range e.Stages {
		s := &e.Stages[k]
		s.Actions, s.Earlier = slices.Clone(s.Actions), slices.Clone(s.Earlier)
		s.Conditions = slices.Clone(s.Conditions)
		for c := range s.Conditions {
			s.Conditions[c].Rules = slices.Clone(s.Conditions[c].Rules)
		}
	}
	return e
}

// end closes an execution. Those that wait may have its place.
func (m *machine) end(e *Execution, status ExecutionStatus, at time.Time) {
	e.Status, e.Ended = status, at
	e.Sequence++
	m.claim(at)
}
