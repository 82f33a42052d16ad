package pipeline

import (
	"fmt"
	"slices"
	"time"
)

// asking is the condition that is being asked, or nil.
func (s *StageState) asking() *ConditionState {
	i := slices.IndexFunc(s.Conditions, func(c ConditionState) bool { return c.Status == StatusInProgress })
	if i < 0 {
		return nil
	}
	return &s.Conditions[i]
}

// Condition is what has become of a condition in this attempt, or nil when it
// was not asked.
func (s *StageState) Condition(kind ConditionKind) *ConditionState {
	i := slices.IndexFunc(s.Conditions, func(c ConditionState) bool { return c.Kind == kind })
	if i < 0 {
		return nil
	}
	return &s.Conditions[i]
}

// ask begins to ask a condition, and tells whether there was one to ask.
func (m *machine) ask(e *Execution, stage *StageState, kind ConditionKind, at time.Time) bool {
	definition, _, _ := e.Definition.Stage(stage.Name)
	condition := definition.Condition(kind)
	if condition == nil || len(condition.Rules) == 0 || stage.Condition(kind) != nil {
		return false
	}
	asked := ConditionState{Kind: kind, Status: StatusInProgress, At: at}
	for _, rule := range condition.Rules {
		asked.Rules = append(asked.Rules, ActionState{Name: rule.Name, Type: rule.Type, Status: StatusPending})
	}
	stage.Conditions = append(stage.Conditions, asked)
	e.Sequence++
	return true
}

// askNext runs the rules of the condition that is being asked, all together,
// or does what they have answered.
func (m *machine) askNext(e *Execution, stage *StageState, at time.Time, worker bool) {
	condition := stage.asking()
	met := true
	for i := range condition.Rules {
		rule := &condition.Rules[i]
		switch rule.Status {
		case StatusPending:
			if !worker {
				m.work(e, stage)
				return
			}
			m.begin(e, stage, rule, condition.Kind, at)
			met = false
		case StatusSucceeded:
		default:
			met = false
		}
	}
	if stage.runs() {
		return
	}
	condition.Status, condition.At = StatusSucceeded, at
	if !met {
		condition.Status = StatusFailed
	}
	e.Sequence++
	m.answered(e, stage, condition, at, worker)
}

// answered does what follows from a condition that has been asked.
func (m *machine) answered(e *Execution, stage *StageState, asked *ConditionState, at time.Time, worker bool) {
	met := asked.Status != StatusFailed
	switch {
	case asked.Kind == OnFailure && met:
		m.fail(e, stage, at)
	case !met:
		m.unmet(e, stage, asked.Kind, at)
	default:
		m.advance(e, stage, at, worker)
	}
}

// onFailure does what the definition says about a stage that has failed.
func (m *machine) onFailure(e *Execution, stage *StageState, at time.Time, worker bool) {
	definition, _, _ := e.Definition.Stage(stage.Name)
	switch {
	case definition.OnFailure == nil:
		m.fail(e, stage, at)
	case m.ask(e, stage, OnFailure, at):
		m.advance(e, stage, at, worker)
	default:
		m.unmet(e, stage, OnFailure, at)
	}
}

// unmet engages the result of a condition.
func (m *machine) unmet(e *Execution, stage *StageState, kind ConditionKind, at time.Time) {
	definition, _, _ := e.Definition.Stage(stage.Name)
	condition := definition.Condition(kind)
	switch result := condition.Result; {
	case result == ResultSkip:
		stage.Status = StatusSkipped
		m.leave(e, at)
	case result == ResultRetry && stage.Automatic == 0:
		stage.Automatic++
		m.again(e, stage, condition.RetryMode, at)
	case result == ResultRollback && e.Type != ExecutionRollback && e.Definition.Mode != ModeParallel:
		m.command(RollBack{Execution: e.ID, Stage: stage.Name})
		m.fail(e, stage, at)
	default:
		m.fail(e, stage, at)
	}
}

// override sets aside the condition that holds an execution up, or that has
// failed it.
func (m *machine) override(ev Overridden) error {
	e, stage, err := m.findStage(ev.Execution, ev.Stage)
	if err != nil {
		return err
	}
	about := fmt.Sprintf("condition %s of stage %s of %s", ev.Kind, ev.Stage, ev.Execution)
	condition := stage.Condition(ev.Kind)
	switch {
	case condition == nil || ev.Kind == OnFailure:
		return fmt.Errorf("%s has not been asked, or cannot be set aside: %w", about, ErrNotOverridable)
	case !m.isLatest(e, stage):
		return fmt.Errorf("%s: %w", about, ErrNotLatest)
	case condition.Status == StatusInProgress && !e.Done():
		m.abandon(e, stage, ev.At)
	case condition.Status == StatusFailed && e.Status == ExecutionFailed && stage.Status == StatusFailed:
		e.Status, e.Ended, stage.Status = ExecutionInProgress, time.Time{}, StatusInProgress
	default:
		return fmt.Errorf("%s is %s: %w", about, condition.Status, ErrNotOverridable)
	}
	condition.Status, condition.At, condition.By = StatusOverridden, ev.At, ev.By
	e.Sequence++
	m.advance(e, stage, ev.At, false)
	return nil
}

// isLatest tells whether nobody has been in the stage since the execution was.
func (m *machine) isLatest(e *Execution, stage *StageState) bool {
	return e.Definition.Mode == ModeParallel || m.latest[stage.Name] == e.ID
}
