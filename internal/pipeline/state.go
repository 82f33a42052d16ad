package pipeline

import "time"

// State is what the state machine knows of one pipeline: its executions that
// have not ended, oldest first. After Apply it also holds those that ended
// with that very event, so that a caller can save them; the next State is
// loaded without them.
type State struct {
	Executions []Execution
}

// Execution is one run of a pipeline for one revision.
type Execution struct {
	ID         string          `json:"id"` // pipeline-number
	Pipeline   string          `json:"pipeline"`
	Number     int             `json:"number"` // from 1 within the pipeline
	Status     ExecutionStatus `json:"status"`
	Definition Pipeline        `json:"definition"` // as it was at the start
	Revision   Revision        `json:"revision"`
	Trigger    Trigger         `json:"trigger"`
	Stages     []StageState    `json:"stages"`
	Started    time.Time       `json:"started"`
	Ended      time.Time       `json:"ended,omitzero"`
	// Sequence grows with each change, so that a watcher can tell versions
	// apart and a saver can skip what did not change.
	Sequence int `json:"sequence"`
}

// Trigger says why an execution was started.
type Trigger struct {
	Type   string `json:"type"` // Push or Manual
	Detail string `json:"detail,omitempty"`
}

// ExecutionStatus is CodePipeline's pipeline execution status.
type ExecutionStatus string

// The statuses of an execution. All but InProgress are final.
const (
	ExecutionInProgress ExecutionStatus = "InProgress"
	ExecutionSucceeded  ExecutionStatus = "Succeeded"
	ExecutionFailed     ExecutionStatus = "Failed"
	// ExecutionSuperseded means that a newer execution overtook this one
	// while it waited for a stage.
	ExecutionSuperseded ExecutionStatus = "Superseded"
)

// Status is the status of a stage or an action within an execution.
type Status string

// The statuses of a stage or an action.
const (
	StatusPending    Status = "Pending"
	StatusInProgress Status = "InProgress"
	StatusSucceeded  Status = "Succeeded"
	StatusFailed     Status = "Failed"
)

// StageState is how far one stage of an execution has come.
type StageState struct {
	Name    string        `json:"name"`
	Status  Status        `json:"status"`
	Attempt int           `json:"attempt"` // 0 until the stage is entered, then from 1
	Actions []ActionState `json:"actions"`
}

// ActionState is how far one action of a stage has come.
type ActionState struct {
	Name    string     `json:"name"`
	Type    ActionType `json:"type"`
	Status  Status     `json:"status"`
	Started time.Time  `json:"started,omitzero"`
	Ended   time.Time  `json:"ended,omitzero"`
	// Result is nil until the action has ended.
	Result *Result `json:"result,omitempty"`
}

// Duration is how long the action has run at the instant now, or ran.
func (a ActionState) Duration(now time.Time) time.Duration {
	switch {
	case a.Started.IsZero():
		return 0
	case a.Ended.IsZero():
		return now.Sub(a.Started)
	}
	return a.Ended.Sub(a.Started)
}

// Done reports whether the execution has ended.
func (e Execution) Done() bool { return e.Status != ExecutionInProgress }

// Artifacts are the outputs of all actions that have succeeded so far, in the
// order of the definition. A later artifact replaces an earlier one of the
// same name.
func (e Execution) Artifacts() []Artifact {
	var all []Artifact
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Result == nil {
				continue
			}
			for _, made := range a.Result.Artifacts {
				all = append(without(all, made.Name), made)
			}
		}
	}
	return all
}

func without(artifacts []Artifact, name string) []Artifact {
	var kept []Artifact
	for _, a := range artifacts {
		if a.Name != name {
			kept = append(kept, a)
		}
	}
	return kept
}

// Variables are what #{namespace.name} can refer to: each action's variables
// under the action's name, and the execution's own under "codepipeline".
func (e Execution) Variables() map[string]map[string]string {
	vars := map[string]map[string]string{
		"codepipeline": {"PipelineExecutionId": e.ID},
	}
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Result != nil && a.Result.Variables != nil {
				vars[a.Name] = a.Result.Variables
			}
		}
	}
	return vars
}

// stage returns the index of the stage, or -1.
func (e Execution) stage(name string) int {
	for i, s := range e.Stages {
		if s.Name == name {
			return i
		}
	}
	return -1
}

// next is the index of the stage that the execution has still to enter, or -1
// when it is inside a stage or has ended.
func (e Execution) next() int {
	if e.Done() {
		return -1
	}
	for i, s := range e.Stages {
		switch s.Status {
		case StatusInProgress:
			return -1
		case StatusPending:
			return i
		}
	}
	return -1
}
