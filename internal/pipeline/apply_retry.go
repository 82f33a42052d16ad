package pipeline

import (
	"fmt"
	"time"
)

func (m *machine) retry(ev RetryRequested) error {
	e, stage, err := m.findStage(ev.Execution, ev.Stage)
	if err != nil {
		return err
	}
	about := fmt.Sprintf("retry stage %s of %s", ev.Stage, ev.Execution)
	switch {
	case !e.Done() || stage.Status != StatusFailed && stage.Status != StatusStopped:
		return fmt.Errorf("%s: the stage is %s: %w", about, stage.Status, ErrNotRetryable)
	case !m.isLatest(e, stage):
		return fmt.Errorf("%s: %s has been in the stage since: %w", about, m.latest[stage.Name], ErrNotRetryable)
	}
	stage.Manual++
	m.again(e, stage, ev.Mode, ev.At)
	return nil
}

// again begins another attempt of a stage, in the same execution and with the
// artifacts that it has. The execution has not left the stage, so it enters by
// no transition.
func (m *machine) again(e *Execution, stage *StageState, mode RetryMode, at time.Time) {
	left := StageAttempt{Attempt: stage.Attempt, Status: StatusFailed, Conditions: stage.Conditions}
	if stage.Status == StatusStopped {
		left.Status = StatusStopped
	}
	for i := range stage.Actions {
		a := &stage.Actions[i]
		if a.Attempt == stage.Attempt {
			left.Actions = append(left.Actions, *a)
		}
		if mode == RetryAllActions || a.Status != StatusSucceeded {
			*a = ActionState{Name: a.Name, Type: a.Type, Status: StatusPending}
		}
	}
	entry := stage.Condition(BeforeEntry)
	passed := entry != nil && (entry.Status == StatusSucceeded || entry.Status == StatusOverridden)
	stage.Earlier = append(stage.Earlier, left)
	stage.Conditions = nil
	stage.Status, stage.Attempt = StatusInProgress, stage.Attempt+1
	e.Status, e.Ended, e.Reason = ExecutionInProgress, time.Time{}, ""
	if mode != RetryAllActions && passed {
		stage.Conditions = append(stage.Conditions, *entry)
	} else {
		m.ask(e, stage, BeforeEntry, at)
	}
	m.work(e, stage)
}
