package pipeline

import (
	"fmt"
	"slices"
	"time"
)

// mostExecutions is how many executions of a pipeline that do not supersede
// each other may be there at once, as in CodePipeline.
const mostExecutions = 50

func (m *machine) start(ev Started) error {
	e := ev.Execution
	if len(e.Definition.Stages) == 0 {
		return fmt.Errorf("start %s: pipeline %s has no stages", e.ID, e.Pipeline)
	}
	unfinished := m.others
	for _, other := range m.executions {
		if other.ID == e.ID {
			return fmt.Errorf("start %s: %w", e.ID, ErrStale)
		}
		if !other.Done() {
			unfinished++
		}
	}
	if mode := e.Definition.Mode; (mode == ModeParallel || mode == ModeQueued) && unfinished >= mostExecutions {
		return fmt.Errorf("start an execution of %s: %d have not ended, and it is %s: %w", e.Pipeline, unfinished, mode, ErrTooMany)
	}
	e.Status, e.Sequence, e.Stages = ExecutionInProgress, 1, nil
	for _, stage := range e.Definition.Stages {
		if e.Type != ExecutionRollback || stage.Name == ev.Stage {
			e.Stages = append(e.Stages, pending(stage))
		}
	}
	if e.Type == ExecutionRollback {
		if err := m.mayRollBack(e, ev.Stage); err != nil {
			return err
		}
	}
	m.executions = append(m.executions, e)
	m.claim(e.Started)
	return nil
}

// pending is a stage that nothing has been done about.
func pending(stage Stage) StageState {
	state := StageState{Name: stage.Name, Status: StatusPending}
	for _, a := range stage.Actions {
		state.Actions = append(state.Actions, ActionState{Name: a.Name, Type: a.Type, Status: StatusPending})
	}
	return state
}

// mayRollBack refuses rollbacks that CodePipeline refuses.
func (m *machine) mayRollBack(e Execution, stage string) error {
	switch {
	case e.Definition.Mode == ModeParallel:
		return fmt.Errorf("roll back stage %s: executions of %s run in parallel: %w", stage, e.Pipeline, ErrNoRollback)
	case len(e.Stages) == 0:
		return fmt.Errorf("roll back stage %s: pipeline %s has no such stage: %w", stage, e.Pipeline, ErrNoRollback)
	case e.Stages[0].Name == e.Definition.Stages[0].Name:
		return fmt.Errorf("roll back stage %s: the first stage fetches the source, there is nothing to bring back: %w", stage, ErrNoRollback)
	case m.occupied(stage):
		return fmt.Errorf("roll back stage %s: an execution is in it: %w", stage, ErrNoRollback)
	}
	return nil
}

// claim lets executions enter the stages that are free: the newest that waits
// for a stage, and the others that wait for it are superseded; or the oldest,
// when they are queued.
func (m *machine) claim(at time.Time) {
	held, taken, newer := m.held(), map[string]bool{}, map[string]bool{}
	for _, i := range m.order() {
		next := m.executions[i].next()
		if next < 0 {
			continue
		}
		e := m.own(i)
		stage := &e.Stages[next]
		free := e.Definition.Mode == ModeParallel ||
			!taken[stage.Name] && !held[stage.Name] && !m.occupied(stage.Name)
		switch {
		case newer[stage.Name] && e.superseded():
			e.Status, e.Ended = ExecutionSuperseded, at
			e.Sequence++
		case free && m.passable(e, next):
			m.enter(e, stage, at)
		}
		taken[stage.Name] = true
		if e.superseded() {
			newer[stage.Name] = true
		}
	}
}

// superseded tells whether executions like this one supersede each other.
func (e Execution) superseded() bool {
	return e.Type != ExecutionRollback && (e.Definition.Mode == ModeSuperseded || e.Definition.Mode == "")
}

// order are the indexes of the executions as they are served: rollbacks first,
// for what runs now is worse than what they bring back; then from newest to
// oldest, so that who enters and who is superseded follow from the order alone,
// or from oldest to newest when they are queued.
func (m *machine) order() []int {
	var order []int
	for i := range m.executions {
		order = append(order, i)
	}
	if n := len(order); n > 0 && m.executions[n-1].superseded() {
		slices.Reverse(order)
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank(m.executions[a]) - rank(m.executions[b]) })
	return order
}

func rank(e Execution) int {
	if e.Type == ExecutionRollback {
		return 0
	}
	return 1
}

// held are the stages that a rollback has been asked for by this very event.
func (m *machine) held() map[string]bool {
	held := map[string]bool{}
	for _, c := range m.commands {
		if r, ok := c.(RollBack); ok {
			held[r.Stage] = true
		}
	}
	return held
}

// enter lets an execution into a stage and asks for a worker there.
func (m *machine) enter(e *Execution, stage *StageState, at time.Time) {
	stage.Status, stage.Attempt = StatusInProgress, stage.Attempt+1
	if m.latest == nil {
		m.latest = map[string]string{}
	}
	m.latest[stage.Name] = e.ID
	m.ask(e, stage, BeforeEntry, at)
	m.work(e, stage)
}

// work asks for a worker for what the stage has to do next.
func (m *machine) work(e *Execution, stage *StageState) {
	stage.Segment++
	e.Sequence++
	m.command(RunStage{Execution: e.ID, Stage: stage.Name, Attempt: stage.Attempt, Segment: stage.Segment})
}

// passable tells whether the way into the stage at index next is open. A
// rollback does not come by that way.
func (m *machine) passable(e *Execution, next int) bool {
	before := ""
	if next > 0 {
		before = e.Stages[next-1].Name
	}
	return e.Type == ExecutionRollback ||
		!slices.ContainsFunc(m.disabled, func(t Transition) bool { return t.Between(before, e.Stages[next].Name) })
}

func (m *machine) occupied(stage string) bool {
	return slices.ContainsFunc(m.executions, func(e Execution) bool {
		s := e.Stage(stage)
		return !e.Done() && s != nil && s.Status == StatusInProgress
	})
}

func (m *machine) setTransition(ev TransitionSet) {
	m.disabled = slices.DeleteFunc(m.disabled, func(t Transition) bool { return t.Stage == ev.Stage && t.Type == ev.Type })
	if ev.Disabled {
		m.disabled = append(m.disabled, ev.Transition)
	}
	m.claim(ev.At)
}
