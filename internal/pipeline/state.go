package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// State is what the state machine knows of one pipeline: its executions that
// have not ended, oldest first, and beside them the one that an event is about
// when it has. After Apply it also holds those that ended with that very event,
// so that a caller can save them.
type State struct {
	Executions []Execution
	// Others is how many more have not ended, of executions in parallel: they do
	// not regard each other, so that they need not be known to each other.
	Others int
	// Latest is the execution that entered a stage last, by the stage's name.
	Latest map[string]string
	// Disabled are the transitions that hold executions. Rollbacks do not come by
	// them.
	Disabled []Transition
}

// Waiting are the executions that are to enter a stage next, oldest first.
func (s State) Waiting(stage string) []string {
	var waiting []string
	for _, e := range s.Executions {
		if next := e.next(); next >= 0 && e.Stages[next].Name == stage {
			waiting = append(waiting, e.ID)
		}
	}
	return waiting
}

// Transition is the way into a stage or out of it, as somebody has closed it.
type Transition struct {
	Stage  string         `json:"stage"`
	Type   TransitionType `json:"type"`
	Reason string         `json:"reason"`
	By     string         `json:"by,omitempty"`
	At     time.Time      `json:"at"`
}

// Between tells whether the transition is on the way from one stage to the next.
// The first stage has "" before it.
func (t Transition) Between(before, stage string) bool {
	return t.Type == Inbound && t.Stage == stage || t.Type == Outbound && t.Stage == before
}

// TransitionType is one of the two ends of a transition.
type TransitionType string

// The two ends of a transition.
const (
	Inbound  TransitionType = "Inbound"
	Outbound TransitionType = "Outbound"
)

// Execution is one run of a pipeline for one revision.
type Execution struct {
	ID         string          `json:"id"` // pipeline-number
	Pipeline   string          `json:"pipeline"`
	Number     int             `json:"number"` // from 1 within the pipeline
	Type       ExecutionType   `json:"type,omitempty"`
	Status     ExecutionStatus `json:"status"`
	Reason     string          `json:"reason,omitempty"` // of a status that somebody asked for
	Definition Pipeline        `json:"definition"`       // as it was at the start
	Revision   Revision        `json:"revision"`
	// Overrides are revisions that the start asked for, by source action.
	Overrides []Override `json:"overrides,omitempty"`
	Trigger   Trigger    `json:"trigger"`
	// Given are the values of the pipeline's variables.
	Given  map[string]string `json:"variables,omitempty"`
	Stages []StageState      `json:"stages"`
	// Target is what a rollback goes back to: an execution that succeeded in
	// the stage. Inherited is what that one had made before the stage.
	Target    string     `json:"target,omitempty"`
	Inherited *Inherited `json:"inherited,omitempty"`
	Started   time.Time  `json:"started"`
	Ended     time.Time  `json:"ended,omitzero"`
	// Sequence grows with each change, so that a watcher can tell versions
	// apart and a saver can skip what did not change.
	Sequence int `json:"sequence"`
}

// ExecutionType tells executions that walk the pipeline from those that bring
// one stage back.
type ExecutionType string

// The types of executions; "" is ExecutionStandard.
const (
	ExecutionStandard ExecutionType = "STANDARD"
	ExecutionRollback ExecutionType = "ROLLBACK"
)

// Inherited is what a rollback has from the execution that it goes back to.
type Inherited struct {
	Artifacts []Artifact                   `json:"artifacts,omitempty"`
	Variables map[string]map[string]string `json:"variables,omitempty"`
}

// Override is a revision that one source action is to take.
type Override struct {
	Action string `json:"action"`
	Type   string `json:"type"` // one of the Override constants
	Value  string `json:"value"`
}

// The types of overrides, in CodePipeline's words.
const (
	OverrideCommit        = "COMMIT_ID"
	OverrideImage         = "IMAGE_DIGEST"
	OverrideObjectVersion = "S3_OBJECT_VERSION_ID"
	OverrideObjectKey     = "S3_OBJECT_KEY"
)

// overrideKeys are the members of a source action's configuration by which it
// takes what an override names. A commit is the execution's own.
var overrideKeys = map[string]string{OverrideImage: "ImageDigest", OverrideObjectVersion: "S3ObjectVersionId", OverrideObjectKey: "S3ObjectKey"}

// Configuration is that of an action, with what the execution's overrides say
// and with its variables resolved.
func (e Execution) Configuration(action Action) (json.RawMessage, error) {
	config, err := Resolve(action.Configuration, e.Variables())
	if err != nil || len(e.Overrides) == 0 {
		return config, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(config, &members); err != nil {
		return config, fmt.Errorf("read configuration: %w", err)
	}
	for _, o := range e.Overrides {
		key, ok := overrideKeys[o.Type]
		if o.Action != action.Name || !ok {
			continue
		}
		if members[key], err = json.Marshal(o.Value); err != nil {
			return config, err
		}
	}
	return json.Marshal(members)
}

// Trigger says why an execution was started.
type Trigger struct {
	Type   string `json:"type"` // see the Trigger constants
	Detail string `json:"detail,omitempty"`
	// Source is what has changed in a repository, nil where nothing has.
	Source *SourceChange `json:"source,omitempty"`
}

// SourceChange is what a push, or a forge's webhook, tells of a repository.
type SourceChange struct {
	Event string `json:"event"`          // see the Change constants
	Head  string `json:"head,omitempty"` // whole ref that has changed: refs/heads/main
	Base  string `json:"base,omitempty"` // whole ref that a pull request is meant for
	// Request is the number of a pull request, 0 for a push.
	Request int `json:"request,omitempty"`
	// Previous is the commit at the head before, "" when it is new or not told.
	Previous string `json:"previous,omitempty"`
	// Actor is the forge's id of who did it, Merge the commit that came of a
	// merge; "" where the forge does not tell.
	Actor string `json:"actor,omitempty"`
	Merge string `json:"merge,omitempty"`
}

// The events of a SourceChange, in CodeBuild's words.
const (
	ChangePush    = "PUSH"
	ChangeOpened  = "PULL_REQUEST_CREATED" // also opened again
	ChangeUpdated = "PULL_REQUEST_UPDATED"
	ChangeMerged  = "PULL_REQUEST_MERGED"
	ChangeClosed  = "PULL_REQUEST_CLOSED"
)

// Words is what CodeBuild calls the trigger: branch/main, tag/v1 or pr/7.
func (c SourceChange) Words() string {
	if c.Request > 0 {
		return "pr/" + strconv.Itoa(c.Request)
	}
	if tag, ok := strings.CutPrefix(c.Head, "refs/tags/"); ok {
		return "tag/" + tag
	}
	return "branch/" + strings.TrimPrefix(c.Head, "refs/heads/")
}

// The types of triggers: Push is Towline's own, the others are CodePipeline's.
const (
	TriggerPush              = "Push"
	TriggerManual            = "Manual"
	TriggerWebhook           = "WebhookV2" // of a connection: a mirror's forge
	TriggerPutWebhook        = "Webhook"   // one that PutWebhook has made
	TriggerPoll              = "PollForSourceChanges"
	TriggerSchedule          = "CloudWatchEvent"
	TriggerManualRollback    = "ManualRollback"
	TriggerAutomatedRollback = "AutomatedRollback"
)

// ExecutionStatus is CodePipeline's pipeline execution status.
type ExecutionStatus string

// The statuses of an execution. All but InProgress and Stopping are final
// until somebody asks for a retry or overrides a condition.
const (
	ExecutionInProgress ExecutionStatus = "InProgress"
	// ExecutionStopping means that what is in progress is waited for, and
	// nothing else begins.
	ExecutionStopping  ExecutionStatus = "Stopping"
	ExecutionStopped   ExecutionStatus = "Stopped"
	ExecutionSucceeded ExecutionStatus = "Succeeded"
	ExecutionFailed    ExecutionStatus = "Failed"
	// ExecutionSuperseded means that a newer execution overtook this one
	// while it waited for a stage.
	ExecutionSuperseded ExecutionStatus = "Superseded"
)

// Status is the status of a stage, a condition, a rule or an action within an
// execution.
type Status string

// The statuses of parts of an execution.
const (
	StatusPending    Status = "Pending"
	StatusInProgress Status = "InProgress"
	StatusSucceeded  Status = "Succeeded"
	StatusFailed     Status = "Failed"
	StatusStopped    Status = "Stopped"    // a stage of an execution that was stopped in it
	StatusSkipped    Status = "Skipped"    // a stage whose condition said so
	StatusAbandoned  Status = "Abandoned"  // an action or rule that nobody waits for any more
	StatusOverridden Status = "Overridden" // a condition that somebody set aside
)

// StageState is how far one stage of an execution has come.
type StageState struct {
	Name    string `json:"name"`
	Status  Status `json:"status"`
	Attempt int    `json:"attempt"` // 0 until the stage is entered, then from 1
	// Segment counts the workers that the attempt was given. There is another
	// one each time that somebody outside has ended what the last one left to
	// them. Entered is the segment whose worker has come.
	Segment int `json:"segment,omitempty"`
	Entered int `json:"entered,omitempty"`
	// Walk is what the engine calls the worker of the segment that was entered
	// last, "" when it is one of the segment's own.
	Walk    string        `json:"walk,omitempty"`
	Actions []ActionState `json:"actions"`
	// Conditions are those that have been asked in this attempt.
	Conditions []ConditionState `json:"conditions,omitempty"`
	// Earlier are the attempts before this one.
	Earlier []StageAttempt `json:"earlier,omitempty"`
	// Automatic and Manual count the retries, by who asked for them.
	Automatic int `json:"automaticRetries,omitempty"`
	Manual    int `json:"manualRetries,omitempty"`
}

// StageAttempt is an attempt that was left for the next one.
type StageAttempt struct {
	Attempt    int              `json:"attempt"`
	Status     Status           `json:"status"`
	Actions    []ActionState    `json:"actions"` // that ran in it
	Conditions []ConditionState `json:"conditions,omitempty"`
}

// ConditionKind says when a condition is asked.
type ConditionKind string

// The kinds of conditions, in CodePipeline's words.
const (
	BeforeEntry ConditionKind = "BEFORE_ENTRY"
	OnSuccess   ConditionKind = "ON_SUCCESS"
	OnFailure   ConditionKind = "ON_FAILURE"
)

// ConditionState is how far a condition has come.
type ConditionState struct {
	Kind   ConditionKind `json:"kind"`
	Status Status        `json:"status"`
	Rules  []ActionState `json:"rules,omitempty"`
	At     time.Time     `json:"at"`           // of the last change
	By     string        `json:"by,omitempty"` // who has overridden it
}

// ActionState is how far one action of a stage, or one rule of a condition, has
// come.
type ActionState struct {
	Name    string     `json:"name"`
	Type    ActionType `json:"type"`
	Status  Status     `json:"status"`
	Attempt int        `json:"attempt,omitempty"` // of the stage, in which it ran last
	Started time.Time  `json:"started,omitzero"`
	Ended   time.Time  `json:"ended,omitzero"`
	// Due is when an action that somebody outside has to end is given up, and
	// when one that waits (see Waits) is run again or given up.
	Due time.Time `json:"due,omitzero"`
	// Waits says what an action waits for that is in progress and that nobody
	// runs until it is Due; "" for any other.
	Waits string `json:"waits,omitempty"`
	By    string `json:"by,omitempty"` // who ended it
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
func (e Execution) Done() bool {
	return e.Status != ExecutionInProgress && e.Status != ExecutionStopping
}

// Stage is the state of a stage by its name, or nil.
func (e Execution) Stage(name string) *StageState {
	if i := e.stage(name); i >= 0 {
		return &e.Stages[i]
	}
	return nil
}

// Due is the earliest instant at which something that nobody here runs is given
// up or run again, or zero.
func (e Execution) Due() time.Time {
	var due time.Time
	for _, run := range e.Unattended() {
		if a := e.Action(run); due.IsZero() || a.Due.Before(due) {
			due = a.Due
		}
	}
	return due
}

// Unattended are the actions and rules that are in progress and that nobody here
// runs: those that somebody outside has to end, and those that wait.
func (e Execution) Unattended() (found []RunAction) {
	for _, s := range e.Stages {
		add := func(kind ConditionKind, actions []ActionState) {
			for _, a := range actions {
				if a.Status == StatusInProgress && !a.Due.IsZero() {
					found = append(found, RunAction{Execution: e.ID, Stage: s.Name, Attempt: s.Attempt, Condition: kind, Action: a.Name})
				}
			}
		}
		add("", s.Actions)
		for _, c := range s.Conditions {
			add(c.Kind, c.Rules)
		}
	}
	return found
}

// Action is the state of an action or a rule, the zero state when it is not
// there.
func (e Execution) Action(run RunAction) ActionState {
	s := e.Stage(run.Stage)
	if s == nil {
		return ActionState{}
	}
	actions := s.Actions
	if run.Condition != "" {
		actions = nil
		if c := s.Condition(run.Condition); c != nil {
			actions = c.Rules
		}
	}
	for _, a := range actions {
		if a.Name == run.Action {
			return a
		}
	}
	return ActionState{}
}

// Artifacts are the outputs of all actions that have succeeded so far, in the
// order of the definition. A later artifact replaces an earlier one of the
// same name.
func (e Execution) Artifacts() []Artifact {
	var all []Artifact
	if e.Inherited != nil {
		all = slices.Clone(e.Inherited.Artifacts)
	}
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
	return slices.DeleteFunc(slices.Clone(artifacts), func(a Artifact) bool { return a.Name == name })
}

// Variables are what #{namespace.name} can refer to: each action's variables
// under its namespace, the pipeline's under "variables", and the execution's
// own under "codepipeline".
func (e Execution) Variables() map[string]map[string]string {
	vars := map[string]map[string]string{}
	if e.Inherited != nil {
		maps.Copy(vars, e.Inherited.Variables)
	}
	vars["codepipeline"] = map[string]string{"PipelineExecutionId": e.ID}
	vars["variables"] = e.Given
	explicit := map[string]map[string]string{}
	for _, s := range e.Stages {
		definition, _, _ := e.Definition.Stage(s.Name)
		for i, a := range s.Actions {
			switch namespace := definition.Actions[i].Namespace; {
			case a.Result == nil || a.Result.Variables == nil:
			case namespace != "":
				explicit[namespace] = a.Result.Variables
			default:
				vars[a.Name] = a.Result.Variables
			}
		}
	}
	maps.Copy(vars, explicit) // A namespace that was given outdoes a name.
	return vars
}

// stage returns the index of the stage, or -1.
func (e Execution) stage(name string) int {
	return slices.IndexFunc(e.Stages, func(s StageState) bool { return s.Name == name })
}

// inside is the index of the stage that the execution is in, or -1.
func (e Execution) inside() int {
	if e.Done() {
		return -1
	}
	return slices.IndexFunc(e.Stages, func(s StageState) bool { return s.Status == StatusInProgress })
}

// next is the index of the stage that the execution has still to enter, or -1
// when it is inside a stage or has ended.
func (e Execution) next() int {
	if e.Done() || e.inside() >= 0 {
		return -1
	}
	return slices.IndexFunc(e.Stages, func(s StageState) bool { return s.Status == StatusPending })
}
