package pipeline

import (
	"fmt"
	"time"
)

func (m *machine) stop(ev StopRequested) error {
	e, err := m.find(ev.Execution)
	if err != nil {
		return err
	}
	if e.Done() {
		return fmt.Errorf("stop %s, which is %s: %w", e.ID, e.Status, ErrNotStoppable)
	}
	if e.Status == ExecutionStopping && !ev.Abandon {
		return fmt.Errorf("stop %s, which stops already once what is in progress has ended; to interrupt that, abandon it: %w", e.ID, ErrNotStoppable)
	}
	e.Status, e.Reason = ExecutionStopping, ev.Reason
	e.Sequence++
	i := e.inside()
	if i < 0 {
		m.end(e, ExecutionStopped, ev.At)
		return nil
	}
	if ev.Abandon {
		m.abandon(e, &e.Stages[i], ev.At)
	}
	m.dismissWaiting(e, &e.Stages[i], ev.At)
	m.advance(e, &e.Stages[i], ev.At, false)
	return nil
}

// abandon gives up what is in progress in a stage. What runs is interrupted.
func (m *machine) abandon(e *Execution, stage *StageState, at time.Time) {
	if len(Running(*e, stage.Name)) > 0 {
		m.command(CancelStage{Execution: e.ID, Stage: stage.Name, Attempt: stage.Attempt})
	}
	stage.giveUp(at, func(ActionState) bool { return true })
}

// dismissWaiting gives up what waits in a stage, or has waited and is not run
// again yet: nothing of it is in progress in truth.
func (m *machine) dismissWaiting(e *Execution, stage *StageState, at time.Time) {
	asked := stage.Entered != stage.Segment
	if stage.giveUp(at, func(a ActionState) bool { return !a.Type.Outside() && (a.Waits != "" || asked) }) {
		e.Sequence++
	}
}

// giveUp abandons the actions and rules in progress that are meant.
func (s *StageState) giveUp(at time.Time, meant func(ActionState) bool) (some bool) {
	all := [][]ActionState{s.Actions}
	if c := s.asking(); c != nil {
		all = append(all, c.Rules)
	}
	for _, actions := range all {
		for i := range actions {
			if a := &actions[i]; a.Status == StatusInProgress && meant(*a) {
				a.Status, a.Ended, a.Due, a.Waits, some = StatusAbandoned, at, time.Time{}, "", true
			}
		}
	}
	return some
}

// halt ends an execution that is to stop, once nothing of its stage runs.
func (m *machine) halt(e *Execution, stage *StageState, at time.Time) {
	if c := stage.asking(); c != nil {
		c.Status, c.At = StatusAbandoned, at
	} else if !stage.has(StatusPending) && !stage.has(StatusFailed) && !stage.has(StatusAbandoned) {
		m.succeed(e, stage, at)
		return
	}
	stage.Status = StatusStopped
	if stage.has(StatusFailed) {
		stage.Status = StatusFailed
	}
	m.end(e, ExecutionStopped, at)
}
