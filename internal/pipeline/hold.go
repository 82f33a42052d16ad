package pipeline

import (
	"fmt"
	"time"
)

// HoldKind says what sort of thing an execution waits for.
type HoldKind string

// The kinds of holds.
const (
	HoldApproval   HoldKind = "approval"   // a person approves or rejects an action
	HoldWorker     HoldKind = "worker"     // a program outside ends an action
	HoldRule       HoldKind = "rule"       // a condition's rule is asked again at its time
	HoldTime       HoldKind = "time"       // an action is run again at its time
	HoldTransition HoldKind = "transition" // somebody opens the way into the stage
	HoldStage      HoldKind = "stage"      // another execution leaves the stage
	HoldQueue      HoldKind = "queue"      // another execution enters the stage first
)

// Hold is why an execution that has not ended goes no further just now, though
// nothing of it runs.
type Hold struct {
	Kind HoldKind `json:"kind"`
	// Stage is the one that waits, or that is to be entered next.
	Stage string `json:"stage"`
	// Action is the action, or the rule, that waits; "" for a whole stage.
	Action    string        `json:"action,omitempty"`
	Condition ConditionKind `json:"condition,omitempty"` // of a rule
	Execution string        `json:"execution,omitempty"` // the one that is in the way
	Ahead     int           `json:"ahead,omitempty"`     // how many enter the stage first, of a queue
	By        string        `json:"by,omitempty"`        // who closed the transition
	Since     time.Time     `json:"since,omitzero"`      // zero when that is not known
	// Until is when it ends by itself: the action is given up, or is run again.
	Until time.Time `json:"until,omitzero"`
	// Sentence says all of it but the times in one sentence for people.
	Sentence string `json:"sentence"`
}

// Hold tells why an execution waits, by what the state knows of the others; nil
// when it has ended or when something of it runs.
func (s State) Hold(e Execution) *Hold {
	if e.Done() {
		return nil
	}
	if i := e.inside(); i >= 0 {
		return e.Stages[i].hold()
	}
	next := e.next()
	if next < 0 || e.Status == ExecutionStopping {
		return nil
	}
	hold := Hold{Stage: e.Stages[next].Name, Since: e.reached(next)}
	switch {
	case s.closed(e, next, &hold), s.taken(e, &hold), s.behind(e, &hold):
		return &hold
	}
	return nil
}

// Waiting tells that nothing of an execution that has not ended runs: it waits
// for somebody, for something, or for a time.
func (e Execution) Waiting() bool {
	if e.Done() {
		return false
	}
	if i := e.inside(); i >= 0 {
		return e.Stages[i].hold() != nil
	}
	return e.next() >= 0
}

// hold tells what all that is in progress in a stage waits for: the first
// person, else the first of the others. It is nil while anything runs.
func (s *StageState) hold() *Hold {
	var found *Hold
	look := func(kind ConditionKind, actions []ActionState) (runs bool) {
		for _, a := range actions {
			if a.Status != StatusInProgress {
				continue
			}
			hold := a.hold(s.Name, kind)
			if hold == nil {
				return true
			}
			if found == nil || hold.Kind == HoldApproval && found.Kind != HoldApproval {
				found = hold
			}
		}
		return false
	}
	if look("", s.Actions) {
		return nil
	}
	for _, c := range s.Conditions {
		if c.Status == StatusInProgress && look(c.Kind, c.Rules) {
			return nil
		}
	}
	return found
}

// hold is nil when the action, which is in progress, is being run.
func (a ActionState) hold(stage string, kind ConditionKind) *Hold {
	h := Hold{Stage: stage, Action: a.Name, Condition: kind, Since: a.Started, Until: a.Due}
	switch {
	case kind != "" && a.Waits != "":
		h.Kind, h.Sentence = HoldRule, fmt.Sprintf("Rule %s of stage %s waits for %s.", a.Name, stage, a.Waits)
	case kind != "":
		return nil
	case a.Type.Manual():
		h.Kind, h.Sentence = HoldApproval, fmt.Sprintf("Somebody has to approve or reject %s of stage %s.", a.Name, stage)
	case a.Type.Outside():
		h.Kind, h.Sentence = HoldWorker, fmt.Sprintf("A worker outside of Towline, %s, has to do %s of stage %s.", a.Type.Provider, a.Name, stage)
	case a.Waits != "":
		h.Kind, h.Sentence = HoldTime, fmt.Sprintf("Action %s of stage %s waits for %s.", a.Name, stage, a.Waits)
	default:
		return nil
	}
	return &h
}

// reached is when the execution had come before the stage at an index.
func (e Execution) reached(next int) time.Time {
	at := e.Started
	for _, s := range e.Stages[:next] {
		for _, a := range s.Actions {
			if a.Ended.After(at) {
				at = a.Ended
			}
		}
	}
	return at
}

// closed tells whether a transition holds the execution. Rollbacks do not come
// by them, and executions in parallel do not regard them.
func (s State) closed(e Execution, next int, h *Hold) bool {
	before := ""
	if next > 0 {
		before = e.Stages[next-1].Name
	}
	if e.Type == ExecutionRollback || e.Definition.Mode == ModeParallel {
		return false
	}
	for _, t := range s.Disabled {
		if !t.Between(before, h.Stage) {
			continue
		}
		h.Kind, h.By = HoldTransition, t.By
		if t.At.After(h.Since) {
			h.Since = t.At
		}
		h.Sentence = "The way into stage " + h.Stage + " is closed"
		if t.By != "" {
			h.Sentence += " by " + t.By
		}
		if t.Reason != "" {
			h.Sentence += ": " + t.Reason
		} else {
			h.Sentence += "."
		}
		return true
	}
	return false
}

// taken tells whether another execution is in the stage.
func (s State) taken(e Execution, h *Hold) bool {
	if e.Definition.Mode == ModeParallel {
		return false
	}
	for _, other := range s.Executions {
		if in := other.inside(); other.ID != e.ID && in >= 0 && other.Stages[in].Name == h.Stage {
			h.Kind, h.Execution = HoldStage, other.ID
			h.Sentence = fmt.Sprintf("Execution #%d is in stage %s.", other.Number, h.Stage)
			return true
		}
	}
	return false
}

// behind tells whether others enter the stage before the execution.
func (s State) behind(e Execution, h *Hold) bool {
	if e.Definition.Mode == ModeParallel {
		return false
	}
	ahead := 0
	for _, other := range s.Executions {
		next := other.next()
		if next < 0 || other.Stages[next].Name != h.Stage || other.ID == e.ID || !other.before(e) {
			continue
		}
		if ahead++; ahead == 1 {
			h.Execution = other.ID
		}
	}
	if ahead == 0 {
		return false
	}
	h.Kind, h.Ahead = HoldQueue, ahead
	h.Sentence = fmt.Sprintf("%d executions enter stage %s first.", ahead, h.Stage)
	if ahead == 1 {
		h.Sentence = fmt.Sprintf("1 execution enters stage %s first: %s.", h.Stage, h.Execution)
	}
	return true
}

// before tells whether an execution is served before another one that waits for
// the same stage: see machine.order.
func (e Execution) before(other Execution) bool {
	if r, o := rank(e), rank(other); r != o {
		return r < o
	}
	if other.superseded() {
		return e.Number > other.Number
	}
	return e.Number < other.Number
}
