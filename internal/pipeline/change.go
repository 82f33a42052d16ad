package pipeline

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// ChangeKind tells of what a change is.
type ChangeKind string

// The kinds of changes.
const (
	ChangeOfPipeline ChangeKind = "pipeline" // of the whole execution
	ChangeOfStage    ChangeKind = "stage"
	ChangeOfAction   ChangeKind = "action"
)

// ChangeState is what something has changed to, in the words of CodePipeline's
// events.
type ChangeState string

// The states that events tell of. CodePipeline also has CANCELED, for an
// execution whose pipeline was edited: here it goes on as it was defined.
const (
	ChangeStarted    ChangeState = "STARTED"
	ChangeResumed    ChangeState = "RESUMED" // of what had ended, by a retry or an override
	ChangeStopping   ChangeState = "STOPPING"
	ChangeSucceeded  ChangeState = "SUCCEEDED"
	ChangeFailed     ChangeState = "FAILED"
	ChangeStopped    ChangeState = "STOPPED"
	ChangeSuperseded ChangeState = "SUPERSEDED" // of a pipeline
	ChangeSkipped    ChangeState = "SKIPPED"    // of a stage, by its condition
	ChangeAbandoned  ChangeState = "ABANDONED"  // of an action
)

// Change is one state change of an execution, of a stage in it, or of an
// action.
type Change struct {
	Kind    ChangeKind  `json:"kind"`
	State   ChangeState `json:"state"`
	Stage   string      `json:"stage,omitempty"`   // of a stage, an action, and what made a pipeline fail
	Attempt int         `json:"attempt,omitempty"` // of the stage
	Action  string      `json:"action,omitempty"`  // of an action, and what made a pipeline or a stage fail
	Type    ActionType  `json:"type,omitzero"`     // of an action
	// Started is when what has changed began, zero when that is now.
	Started time.Time `json:"started,omitzero"`
	// Outcome and Summary are how an action ended, and why a stage or a
	// pipeline failed. The summary has at most maxSummary bytes.
	Outcome Outcome    `json:"outcome,omitempty"`
	Summary string     `json:"summary,omitempty"`
	By      string     `json:"by,omitempty"` // who ended an action
	Inputs  []Artifact `json:"inputs,omitempty"`
	Outputs []Artifact `json:"outputs,omitempty"`
	// Comment and Link are what an approval asks people to look at.
	Comment string `json:"comment,omitempty"`
	Link    string `json:"link,omitempty"`
}

// ApprovalNeeded tells that somebody has to approve or reject now.
func (c Change) ApprovalNeeded() bool {
	return c.Kind == ChangeOfAction && c.Type.Manual() && c.State == ChangeStarted
}

// maxSummary keeps changes small: they are written with each state change, and
// sent to whoever subscribes.
const maxSummary = 2000

// Changes are the state changes between two versions of one execution, in the
// order in which they came about. Before is the zero Execution when it is new.
// What began and ended in between is told as well.
func Changes(before, after Execution) []Change {
	c := comparison{before: before, after: after}
	c.open()
	for _, stage := range after.Stages {
		was := before.Stage(stage.Name)
		if was == nil {
			was = &StageState{Status: StatusPending}
		}
		c.stage(*was, stage)
	}
	c.close()
	return c.found
}

// comparison is the working of one Changes.
type comparison struct {
	before, after Execution
	found         []Change
}

func (c *comparison) known() bool { return c.before.ID != "" }

// stopping tells whether the execution has just been asked to stop.
func (c *comparison) stopping() bool {
	return c.after.Status == ExecutionStopping && c.before.Status != ExecutionStopping
}

func (c *comparison) open() {
	change := Change{Kind: ChangeOfPipeline, Started: c.after.Started}
	switch {
	case !c.known():
		change.State = ChangeStarted
	case c.before.Done() && (!c.after.Done() || c.before.Status != c.after.Status):
		change.State = ChangeResumed
	case c.stopping():
		change.State = ChangeStopping
	default:
		return
	}
	c.found = append(c.found, change)
}

func (c *comparison) close() {
	if !c.after.Done() || c.known() && c.before.Status == c.after.Status {
		return
	}
	change := Change{Kind: ChangeOfPipeline, Started: c.after.Started}
	switch c.after.Status {
	case ExecutionSucceeded:
		change.State = ChangeSucceeded
	case ExecutionSuperseded:
		change.State = ChangeSuperseded
	case ExecutionStopped:
		change.State, change.Summary = ChangeStopped, cut(c.after.Reason)
	default:
		change.State = ChangeFailed
		for _, stage := range c.after.Stages {
			if stage.Status == StatusFailed {
				change.Stage, change.Attempt = stage.Name, stage.Attempt
				blame(&change, stage.Actions, stage.Conditions)
			}
		}
	}
	c.found = append(c.found, change)
}

// blame says why a stage, and with it a pipeline, failed: the first action that
// did, or the condition that was not met.
func blame(change *Change, actions []ActionState, conditions []ConditionState) {
	for _, a := range actions {
		if a.Status == StatusFailed {
			change.Action = a.Name
			conclude(change, a)
			return
		}
	}
	for _, asked := range conditions {
		if asked.Status == StatusFailed {
			change.Summary = "condition " + string(asked.Kind) + " is not met"
		}
	}
}

// conclude says how an action ended.
func conclude(change *Change, a ActionState) {
	change.By = a.By
	if a.Result == nil {
		return
	}
	change.Outcome, change.Summary = a.Result.Outcome, a.Result.Message
	if change.Summary == "" {
		change.Summary = a.Result.Summary
	}
	change.Summary = cut(change.Summary)
}

// stage compares a stage. An attempt that was left for another one within the
// event has ended first.
func (c *comparison) stage(was, is StageState) {
	began := is.Attempt > was.Attempt
	if began && was.Attempt > 0 {
		for _, left := range is.Earlier {
			if left.Attempt == was.Attempt {
				ended := StageState{Name: is.Name, Attempt: left.Attempt, Status: left.Status, Actions: left.Actions, Conditions: left.Conditions}
				c.endActions(was, ended)
				c.endStage(was, ended)
			}
		}
	}
	change := Change{Kind: ChangeOfStage, Stage: is.Name, Attempt: is.Attempt, Started: beginning(is)}
	switch {
	case began && was.Attempt == 0:
		change.State = ChangeStarted
	case began, over(was.Status) && was.Status != is.Status:
		change.State = ChangeResumed
	case c.stopping() && is.Status == StatusInProgress:
		change.State = ChangeStopping
	}
	if change.State != "" {
		c.found = append(c.found, change)
	}
	if !began {
		c.endActions(was, is)
	}
	c.beginActions(was, is)
	if began {
		was.Status = StatusPending
	}
	c.endStage(was, is)
}

func (c *comparison) endStage(was, is StageState) {
	if !over(is.Status) || was.Status == is.Status {
		return
	}
	change := Change{Kind: ChangeOfStage, Stage: is.Name, Attempt: is.Attempt, Started: beginning(is)}
	switch is.Status {
	case StatusSucceeded:
		change.State = ChangeSucceeded
	case StatusSkipped:
		change.State = ChangeSkipped
	case StatusStopped:
		change.State = ChangeStopped
	default:
		change.State = ChangeFailed
		blame(&change, is.Actions, is.Conditions)
	}
	c.found = append(c.found, change)
}

// over tells that a stage or an action has ended.
func over(s Status) bool { return s != "" && s != StatusPending && s != StatusInProgress }

// beginning is when something of a stage's attempt first ran.
func beginning(s StageState) (first time.Time) {
	for _, a := range s.Actions {
		if a.Attempt == s.Attempt && !a.Started.IsZero() && (first.IsZero() || a.Started.Before(first)) {
			first = a.Started
		}
	}
	return first
}

// endActions tells of those that ran and have ended.
func (c *comparison) endActions(was, is StageState) {
	for _, a := range is.Actions {
		if earlier := was.action(a.Name); earlier.Status == StatusInProgress && earlier.Attempt == a.Attempt && over(a.Status) {
			c.endAction(is, a)
		}
	}
}

// beginActions tells of those that run for the first time in their attempt,
// also when they have ended already.
func (c *comparison) beginActions(was, is StageState) {
	for _, a := range is.Actions {
		if a.Attempt == was.action(a.Name).Attempt || a.Attempt != is.Attempt {
			continue
		}
		change := c.action(is, a)
		change.State = ChangeStarted
		c.found = append(c.found, change)
		if over(a.Status) {
			c.endAction(is, a)
		}
	}
}

func (s *StageState) action(name string) ActionState {
	for _, a := range s.Actions {
		if a.Name == name {
			return a
		}
	}
	return ActionState{}
}

func (c *comparison) endAction(stage StageState, a ActionState) {
	change := c.action(stage, a)
	switch a.Status {
	case StatusSucceeded:
		change.State = ChangeSucceeded
	case StatusAbandoned:
		change.State = ChangeAbandoned
	default:
		change.State = ChangeFailed
	}
	conclude(&change, a)
	if a.Result != nil {
		change.Outputs = a.Result.Artifacts
	}
	c.found = append(c.found, change)
}

func (c *comparison) action(stage StageState, a ActionState) Change {
	change := Change{Kind: ChangeOfAction, Stage: stage.Name, Attempt: stage.Attempt, Action: a.Name, Type: a.Type, Started: a.Started}
	definition, _, _ := c.after.Definition.Stage(stage.Name)
	for _, defined := range definition.Actions {
		if defined.Name != a.Name {
			continue
		}
		for _, made := range c.after.Artifacts() {
			for _, input := range defined.Inputs {
				if made.Name == input {
					change.Inputs = append(change.Inputs, made)
				}
			}
		}
		if a.Type.Manual() {
			change.Comment, change.Link = c.after.Question(defined)
		}
	}
	return change
}

// Question is what an approval asks, and where to look first, by CodePipeline's
// names. One whose variables cannot be resolved is asked without a text.
func (e Execution) Question(approval Action) (comment, link string) {
	resolved, err := Resolve(approval.Configuration, e.Variables())
	if err != nil {
		return "", ""
	}
	var asked struct{ CustomData, ExternalEntityLink string }
	if err := json.Unmarshal(resolved, &asked); err != nil {
		return "", ""
	}
	return cut(asked.CustomData), cut(asked.ExternalEntityLink)
}

// cut shortens a text to maxSummary bytes, between two characters.
func cut(text string) string {
	text = strings.TrimSpace(text)
	if len(text) <= maxSummary {
		return text
	}
	end := maxSummary - len("...")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}
