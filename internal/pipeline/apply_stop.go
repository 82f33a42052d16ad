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
	m.advance(e, &e.Stages[i], ev.At, false)
	return nil
}

// abandon gives up what is in progress in a stage. What runs is interrupted.
func (m *machine) abandon(e *Execution, stage *StageState, at time.Time) {
	interrupt := false
	giveUp := func(actions []ActionState) {
		for i := range actions {
			if actions[i].Status != StatusInProgress {
				continue
			}
			actions[i].Status, actions[i].Ended, actions[i].Due = StatusAbandoned, at, time.Time{}
			interrupt = interrupt || !actions[i].Type.Outside()
		}
	}
	giveUp(stage.Actions)
	if c := stage.asking(); c != nil {
		giveUp(c.Rules)
	}
	if interrupt {
		m.command(CancelStage{Execution: e.ID, Stage: stage.Name, Attempt: stage.Attempt})
	}
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
