package pipeline

import (
	"fmt"
	"slices"
	"time"
)

// How long somebody outside may take to end an action, when it does not say so.
const (
	approvalTime = 7 * 24 * time.Hour
	workerTime   = 24 * time.Hour
)

func (m *machine) enterStage(ev StageEntered) error {
	e, stage, err := m.open(ev.Execution, ev.Stage, ev.Attempt)
	if err != nil {
		return err
	}
	entered := stage.Entered == stage.Segment
	if stage.Segment == 0 {
		// An execution of a time before there were segments.
		entered = slices.ContainsFunc(stage.Actions, func(a ActionState) bool { return a.Status != StatusPending })
	}
	if ev.Segment != stage.Segment || entered {
		return fmt.Errorf("enter stage %s of %s: %w", ev.Stage, ev.Execution, ErrStale)
	}
	stage.Entered, stage.Walk = stage.Segment, ev.Walk
	e.Sequence++
	if again := Running(*e, stage.Name); len(again) > 0 {
		for _, run := range again {
			m.command(run) // It has waited, and this worker was sent for it.
		}
		return nil
	}
	m.advance(e, stage, ev.At, true)
	return nil
}

func (m *machine) endAction(ev ActionEnded) error {
	e, stage, err := m.open(ev.Execution, ev.Stage, ev.Attempt)
	if err != nil {
		return err
	}
	action, err := inProgress(stage.running(ev.Condition), ev.Action)
	if err == nil && action.Type.Outside() != ev.Outside {
		err = fmt.Errorf("action %s is not ended by whom the event names: %w", ev.Action, ErrStale)
	}
	if err == nil && action.Waits != "" {
		err = ErrStale // The walk that told of it is replayed.
	}
	if err != nil {
		return fmt.Errorf("end action %s of stage %s of %s: %w", ev.Action, ev.Stage, ev.Execution, err)
	}
	if !ev.Result.Again.IsZero() && !ev.Outside {
		m.wait(e, stage, ev, action)
		return nil
	}
	action.By = ev.By
	m.close(e, action, ev.Result, ev.At)
	m.advance(e, stage, ev.At, !ev.Outside)
	return nil
}

// running are the actions of the stage, or the rules of the condition of that
// kind if it is being asked.
func (s *StageState) running(kind ConditionKind) []ActionState {
	if kind == "" {
		return s.Actions
	}
	if c := s.asking(); c != nil && c.Kind == kind {
		return c.Rules
	}
	return nil
}

// wait leaves an action in progress that nobody runs for a time, at most until
// its timeout is over. An execution that is to stop does not wait for it.
func (m *machine) wait(e *Execution, stage *StageState, ev ActionEnded, action *ActionState) {
	action.Due, action.Waits = ev.Result.Again, ev.Result.Summary
	if action.Waits == "" {
		action.Waits = "its time"
	}
	if limit := e.timeout(stage.Name, ev.Condition, action.Name); limit > 0 && action.Started.Add(limit).Before(action.Due) {
		action.Due = action.Started.Add(limit)
	}
	e.Sequence++
	if e.Status == ExecutionStopping {
		m.dismissWaiting(e, stage, ev.At)
		m.advance(e, stage, ev.At, true)
	}
}

// timeout is how long an action or a rule may take, 0 for as long as it wants.
func (e Execution) timeout(stage string, kind ConditionKind, action string) time.Duration {
	definition, _, _ := e.Definition.Stage(stage)
	minutes := 0
	if condition := definition.Condition(kind); condition != nil {
		for _, r := range condition.Rules {
			if r.Name == action {
				minutes = r.Timeout
			}
		}
	} else {
		for _, a := range definition.Actions {
			if a.Name == action {
				minutes = a.Timeout
			}
		}
	}
	return time.Duration(minutes) * time.Minute
}

// inProgress is the action of that name, which must be in progress.
func inProgress(actions []ActionState, name string) (*ActionState, error) {
	i := slices.IndexFunc(actions, func(a ActionState) bool { return a.Name == name })
	if i < 0 || actions[i].Status != StatusInProgress {
		return nil, ErrStale
	}
	return &actions[i], nil
}

func (m *machine) close(e *Execution, action *ActionState, result Result, at time.Time) {
	action.Status, action.Ended, action.Due, action.Waits, action.Result = StatusFailed, at, time.Time{}, "", &result
	if result.Outcome == Succeeded {
		action.Status = StatusSucceeded
	}
	e.Sequence++
}

// advance starts what a stage has to do next once nothing of it runs, or lets
// the execution leave it. A worker that is in the stage is given what is to
// run; without one, it is asked for.
func (m *machine) advance(e *Execution, stage *StageState, at time.Time, worker bool) {
	if stage.runs() {
		return
	}
	switch {
	case e.Status == ExecutionStopping:
		m.halt(e, stage, at)
	case stage.asking() != nil:
		m.askNext(e, stage, at, worker)
	case stage.has(StatusFailed):
		m.onFailure(e, stage, at, worker)
	case stage.has(StatusPending):
		m.runNext(e, stage, at, worker)
	case m.ask(e, stage, OnSuccess, at):
		m.advance(e, stage, at, worker)
	default:
		m.succeed(e, stage, at)
	}
}

// runs tells whether an action or a rule is in progress.
func (s *StageState) runs() bool {
	running := func(a ActionState) bool { return a.Status == StatusInProgress }
	if slices.ContainsFunc(s.Actions, running) {
		return true
	}
	c := s.asking()
	return c != nil && slices.ContainsFunc(c.Rules, running)
}

// has tells whether an action has that status.
func (s *StageState) has(status Status) bool {
	return slices.ContainsFunc(s.Actions, func(a ActionState) bool { return a.Status == status })
}

// runNext starts the pending actions of the lowest run order.
func (m *machine) runNext(e *Execution, stage *StageState, at time.Time, worker bool) {
	definition, _, _ := e.Definition.Stage(stage.Name)
	order := 0
	for i, a := range stage.Actions {
		if o := definition.Actions[i].RunOrder; a.Status == StatusPending && (order == 0 || o < order) {
			order = o
		}
	}
	var now []int
	here := false
	for i, a := range stage.Actions {
		if definition.Actions[i].RunOrder == order && a.Status == StatusPending {
			now = append(now, i)
			here = here || !a.Type.Outside()
		}
	}
	if here && !worker {
		m.work(e, stage)
		return
	}
	for _, i := range now {
		m.begin(e, stage, &stage.Actions[i], "", at)
		if a := &stage.Actions[i]; a.Type.Outside() {
			a.Due = at.Add(patience(definition.Actions[i]))
		}
	}
}

// begin starts an action or a rule.
func (m *machine) begin(e *Execution, stage *StageState, action *ActionState, kind ConditionKind, at time.Time) {
	action.Status, action.Started, action.Attempt = StatusInProgress, at, stage.Attempt
	e.Sequence++
	if !action.Type.Outside() {
		m.command(RunAction{Execution: e.ID, Stage: stage.Name, Attempt: stage.Attempt, Condition: kind, Action: action.Name})
	}
}

// patience is how long somebody outside may take to end an action.
func patience(a Action) time.Duration {
	switch {
	case a.Timeout > 0:
		return time.Duration(a.Timeout) * time.Minute
	case a.Type.Manual():
		return approvalTime
	}
	return workerTime
}

// succeed lets the execution leave a stage that is done.
func (m *machine) succeed(e *Execution, stage *StageState, at time.Time) {
	stage.Status = StatusSucceeded
	m.leave(e, at)
}

// leave lets the execution go on to the next stage, or ends it.
func (m *machine) leave(e *Execution, at time.Time) {
	e.Sequence++
	switch {
	case e.next() < 0:
		m.end(e, ExecutionSucceeded, at)
	case e.Status == ExecutionStopping:
		m.end(e, ExecutionStopped, at)
	default:
		m.claim(at)
	}
}

// fail ends the execution in a stage.
func (m *machine) fail(e *Execution, stage *StageState, at time.Time) {
	stage.Status = StatusFailed
	m.end(e, ExecutionFailed, at)
}

func (m *machine) expire(ev Expired) error {
	e, stage, err := m.findStage(ev.Execution, ev.Stage)
	if err != nil {
		return err
	}
	action, err := inProgress(stage.running(ev.Condition), ev.Action)
	if err != nil || e.Done() || action.Due.IsZero() || ev.At.Before(action.Due) {
		return fmt.Errorf("give up action %s of stage %s of %s: %w", ev.Action, ev.Stage, ev.Execution, ErrStale)
	}
	if action.Waits != "" {
		return m.goOn(e, stage, ev, action)
	}
	waited := "no worker reported how it ended"
	if action.Type.Manual() {
		waited = "nobody approved or rejected it"
	}
	m.close(e, action, Fail("%s within %s", waited, action.Due.Sub(action.Started)), ev.At)
	m.advance(e, stage, ev.At, false)
	return nil
}

// goOn has an action run again that has waited, by a worker of its own, or gives
// it up when its timeout is over. While a worker runs something else of the stage
// it waits on: that one does not know of it.
func (m *machine) goOn(e *Execution, stage *StageState, ev Expired, action *ActionState) error {
	if limit := e.timeout(stage.Name, ev.Condition, action.Name); limit > 0 && !ev.At.Before(action.Started.Add(limit)) {
		m.close(e, action, Fail("it waited for %s, which did not come within %s", action.Waits, limit), ev.At)
		m.advance(e, stage, ev.At, false)
		return nil
	}
	if len(Running(*e, stage.Name)) > 0 {
		return fmt.Errorf("run action %s of stage %s of %s again: others run: %w", ev.Action, ev.Stage, ev.Execution, ErrStale)
	}
	action.Due, action.Waits = time.Time{}, ""
	m.work(e, stage)
	return nil
}

// Running are the commands for what runs in a stage and is to be run again when
// the worker was lost.
func Running(e Execution, stage string) []RunAction {
	s := e.Stage(stage)
	if s == nil || e.Done() || s.Status != StatusInProgress {
		return nil
	}
	var again []RunAction
	add := func(kind ConditionKind, actions []ActionState) {
		for _, a := range actions {
			if a.Status == StatusInProgress && !a.Type.Outside() && a.Waits == "" {
				again = append(again, RunAction{Execution: e.ID, Stage: stage, Attempt: s.Attempt, Condition: kind, Action: a.Name})
			}
		}
	}
	add("", s.Actions)
	if c := s.asking(); c != nil {
		add(c.Kind, c.Rules)
	}
	return again
}
