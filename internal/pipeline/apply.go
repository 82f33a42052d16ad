package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Event is something that happened to a pipeline: Started, StageEntered or
// ActionEnded.
type Event interface{ isEvent() }

// Started says that a new execution begins. Stages and Status are filled in by
// the machine.
type Started struct{ Execution Execution }

// StageEntered says that the stage attempt commanded by RunStage has a worker.
type StageEntered struct {
	Execution string
	Stage     string
	Attempt   int
	At        time.Time
}

// ActionEnded says how the action commanded by RunAction ended.
type ActionEnded struct {
	Execution string
	Stage     string
	Attempt   int
	Action    string
	Result    Result
	At        time.Time
}

func (Started) isEvent()      {}
func (StageEntered) isEvent() {}
func (ActionEnded) isEvent()  {}

// Command is what the machine wants done: RunStage or RunAction.
type Command interface{ isCommand() }

// RunStage asks for a worker for one attempt of one stage. The worker answers
// with StageEntered.
type RunStage struct {
	Execution string
	Stage     string
	Attempt   int
}

// RunAction asks the stage's worker to run one action. The worker answers with
// ActionEnded.
type RunAction struct {
	Execution string
	Stage     string
	Attempt   int
	Action    string
}

func (RunStage) isCommand()  {}
func (RunAction) isCommand() {}

// ErrStale is returned for an event about something that is over already: a
// stage attempt that was left, or an action that has ended. Nothing ends
// twice.
var ErrStale = errors.New("event is stale")

// Apply is the state machine: what is, and what happened, to what is then and
// what is to be done. It changes nothing that s refers to. The states and
// their arrows are drawn in docs/state_machine.md.
//
// The rules: an execution walks its stages in order; one execution at a time
// occupies a stage; of two that wait for the same stage the newer supersedes
// the older; the actions of a stage run by run order, those of equal run order
// together; when one of them fails, the others of that run order are awaited,
// the stage and the execution fail, and the stage is free again.
func Apply(s State, event Event) (State, []Command, error) {
	m := machine{executions: slices.Clone(s.Executions)}
	var err error
	switch ev := event.(type) {
	case Started:
		err = m.start(ev)
	case StageEntered:
		err = m.enterStage(ev)
	case ActionEnded:
		err = m.endAction(ev)
	default:
		err = fmt.Errorf("apply %T: no such event", event)
	}
	if err != nil {
		return s, nil, err
	}
	return State{Executions: m.executions}, m.commands, nil
}

// machine is the working copy of one Apply.
type machine struct {
	executions []Execution
	commands   []Command
}

func (m *machine) start(ev Started) error {
	e := ev.Execution
	if len(e.Definition.Stages) == 0 {
		return fmt.Errorf("start %s: pipeline %s has no stages", e.ID, e.Pipeline)
	}
	for _, other := range m.executions {
		if other.ID == e.ID {
			return fmt.Errorf("start %s: %w", e.ID, ErrStale)
		}
	}
	e.Status, e.Sequence, e.Stages = ExecutionInProgress, 1, nil
	for _, stage := range e.Definition.Stages {
		state := StageState{Name: stage.Name, Status: StatusPending}
		for _, a := range stage.Actions {
			state.Actions = append(state.Actions, ActionState{Name: a.Name, Type: a.Type, Status: StatusPending})
		}
		e.Stages = append(e.Stages, state)
	}
	m.executions = append(m.executions, e)
	m.claim(e.Started)
	return nil
}

func (m *machine) enterStage(ev StageEntered) error {
	e, stage, err := m.open(ev.Execution, ev.Stage, ev.Attempt)
	if err != nil {
		return err
	}
	for _, a := range stage.Actions {
		if a.Status != StatusPending {
			return fmt.Errorf("enter stage %s of %s: %w", ev.Stage, ev.Execution, ErrStale)
		}
	}
	m.runNext(e, stage, ev.At)
	return nil
}

func (m *machine) endAction(ev ActionEnded) error {
	e, stage, err := m.open(ev.Execution, ev.Stage, ev.Attempt)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(stage.Actions, func(a ActionState) bool { return a.Name == ev.Action })
	if i < 0 {
		return fmt.Errorf("end action %s of stage %s of %s: no such action", ev.Action, ev.Stage, ev.Execution)
	}
	action := &stage.Actions[i]
	if action.Status != StatusInProgress {
		return fmt.Errorf("end action %s of stage %s of %s: %w", ev.Action, ev.Stage, ev.Execution, ErrStale)
	}
	action.Status, action.Ended, action.Result = StatusFailed, ev.At, &ev.Result
	if ev.Result.Outcome == Succeeded {
		action.Status = StatusSucceeded
	}
	e.Sequence++
	m.afterAction(e, stage, ev.At)
	return nil
}

// afterAction decides what follows once an action has ended: wait for its
// neighbours, the next run order, the next stage, or the end.
func (m *machine) afterAction(e *Execution, stage *StageState, at time.Time) {
	failed := false
	for _, a := range stage.Actions {
		if a.Status == StatusInProgress {
			return
		}
		failed = failed || a.Status == StatusFailed
	}
	switch {
	case failed:
		stage.Status = StatusFailed
		e.Status, e.Ended = ExecutionFailed, at
		m.claim(at)
	case slices.ContainsFunc(stage.Actions, func(a ActionState) bool { return a.Status == StatusPending }):
		m.runNext(e, stage, at)
	default:
		stage.Status = StatusSucceeded
		if e.next() < 0 {
			e.Status, e.Ended = ExecutionSucceeded, at
		}
		m.claim(at)
	}
}

// runNext starts the pending actions of the lowest run order.
func (m *machine) runNext(e *Execution, stage *StageState, at time.Time) {
	definition, _, _ := e.Definition.Stage(stage.Name)
	order := 0
	for i, a := range stage.Actions {
		o := definition.Actions[i].RunOrder
		if a.Status == StatusPending && (order == 0 || o < order) {
			order = o
		}
	}
	for i := range stage.Actions {
		if definition.Actions[i].RunOrder != order {
			continue
		}
		stage.Actions[i].Status, stage.Actions[i].Started = StatusInProgress, at
		m.commands = append(m.commands, RunAction{Execution: e.ID, Stage: stage.Name, Attempt: stage.Attempt, Action: stage.Actions[i].Name})
	}
	e.Sequence++
}

// claim lets executions enter the stages that are free. The newest that waits
// for a stage is served; the others that wait for it are superseded. It walks
// from newest to oldest so that both follow from the order alone.
func (m *machine) claim(at time.Time) {
	wanted := map[string]bool{}
	for i := range slices.Backward(m.executions) {
		next := m.executions[i].next()
		if next < 0 {
			continue
		}
		e := m.own(i)
		stage := &e.Stages[next]
		switch {
		case wanted[stage.Name]:
			e.Status, e.Ended = ExecutionSuperseded, at
			e.Sequence++
		case !m.occupied(stage.Name):
			stage.Status, stage.Attempt = StatusInProgress, stage.Attempt+1
			e.Sequence++
			m.commands = append(m.commands, RunStage{Execution: e.ID, Stage: stage.Name, Attempt: stage.Attempt})
		}
		wanted[stage.Name] = true
	}
}

func (m *machine) occupied(stage string) bool {
	return slices.ContainsFunc(m.executions, func(e Execution) bool {
		i := e.stage(stage)
		return !e.Done() && i >= 0 && e.Stages[i].Status == StatusInProgress
	})
}

// open finds the stage attempt that an event is about, in a copy that may be
// changed.
func (m *machine) open(id, stageName string, attempt int) (*Execution, *StageState, error) {
	for i := range m.executions {
		if m.executions[i].ID != id {
			continue
		}
		e := m.own(i)
		k := e.stage(stageName)
		if k < 0 {
			return nil, nil, fmt.Errorf("execution %s has no stage %s", id, stageName)
		}
		stage := &e.Stages[k]
		if e.Done() || stage.Status != StatusInProgress || stage.Attempt != attempt {
			return nil, nil, fmt.Errorf("stage %s of %s, attempt %d: %w", stageName, id, attempt, ErrStale)
		}
		return e, stage, nil
	}
	return nil, nil, fmt.Errorf("execution %s: %w", id, ErrStale)
}

// own makes the execution at i safe to change without changing the State that
// Apply was given.
func (m *machine) own(i int) *Execution {
	e := &m.executions[i]
	e.Stages = slices.Clone(e.Stages)
	for k := range e.Stages {
		e.Stages[k].Actions = slices.Clone(e.Stages[k].Actions)
	}
	return e
}
