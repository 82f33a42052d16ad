// Package pipeline holds the nouns of a delivery (pipeline, stage, action,
// execution, revision, artifact, verdict) and the state machine that walks
// them. It is pure: no I/O, no clock, no goroutine. Every other room speaks in
// its types; it knows none of them.
//
// The words are CodePipeline's, so that a definition can be carried between
// Towline and AWS without translation.
package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Pipeline is a definition: what runs, in which order, for which changes. It is
// immutable once an execution has started with it; the execution keeps a copy.
type Pipeline struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	// Mode says what becomes of executions that meet; "" is Superseded.
	Mode      ExecutionMode `json:"executionMode,omitempty"`
	On        On            `json:"on"`
	Variables []Variable    `json:"variables,omitempty"`
	Stages    []Stage       `json:"stages"`
	// Foreign is what another form of the definition says and Towline has no
	// use for, such as AWS's roleArn: it is kept so that nothing is lost on the
	// way back.
	Foreign Foreign `json:"foreign,omitempty"`
}

// Foreign holds members of another form of a definition by their name there.
type Foreign map[string]json.RawMessage

// ExecutionMode says what becomes of executions of one pipeline that meet.
type ExecutionMode string

// The execution modes, in CodePipeline's words.
const (
	// ModeSuperseded lets the newest execution that waits for a stage take the
	// place of the older ones that wait for it.
	ModeSuperseded ExecutionMode = "SUPERSEDED"
	// ModeQueued lets executions wait for each other in their order.
	ModeQueued ExecutionMode = "QUEUED"
	// ModeParallel lets executions run without regard to each other.
	ModeParallel ExecutionMode = "PARALLEL"
)

// Variable is a value of the pipeline that each execution may set for itself:
// #{variables.NAME}.
type Variable struct {
	Name        string  `json:"name"`
	Default     *string `json:"defaultValue,omitempty"` // nil: it must be given
	Description string  `json:"description,omitempty"`
}

// Stage is a group of actions that one execution at a time may occupy.
type Stage struct {
	Name    string   `json:"name"`
	Actions []Action `json:"actions"`
	// BeforeEntry is asked before the actions run, OnSuccess once all of them
	// have succeeded, OnFailure once one of them has not. Each may be nil.
	BeforeEntry *Condition `json:"beforeEntry,omitempty"`
	OnSuccess   *Condition `json:"onSuccess,omitempty"`
	OnFailure   *Condition `json:"onFailure,omitempty"`
	Foreign     Foreign    `json:"foreign,omitempty"`
}

// Condition is a set of rules that all have to succeed, and what is done when
// one does not. The condition of a failure may have no rules: what is to be
// done is done then.
type Condition struct {
	Rules  []Rule          `json:"rules,omitempty"`  // up to 5
	Result ConditionResult `json:"result,omitempty"` // "" is FAIL
	// RetryMode says what ResultRetry runs again; "" is the failed actions.
	RetryMode RetryMode `json:"retryMode,omitempty"`
}

// ConditionResult is what is done when a condition is not met.
type ConditionResult string

// The results of conditions.
const (
	ResultFail     ConditionResult = "FAIL"     // the stage fails, or stays failed
	ResultSkip     ConditionResult = "SKIP"     // the execution goes on without the stage
	ResultRollback ConditionResult = "ROLLBACK" // the stage fails, and what it last did well is done again
	ResultRetry    ConditionResult = "RETRY"    // the stage is tried once more
)

// RetryMode says which actions of a stage are run again.
type RetryMode string

// The modes of a retry.
const (
	RetryFailedActions RetryMode = "FAILED_ACTIONS"
	RetryAllActions    RetryMode = "ALL_ACTIONS"
)

// Rule is one question of a condition. Its Type names the code that answers
// it, as an action's does; the category is Rule.
type Rule struct {
	Name          string          `json:"name"`
	Type          ActionType      `json:"type"`
	Inputs        []string        `json:"inputs,omitempty"`
	Configuration json.RawMessage `json:"configuration,omitempty"`
	Timeout       int             `json:"timeoutInMinutes,omitempty"`
	Foreign       Foreign         `json:"foreign,omitempty"`
}

// RunOrders are the distinct run orders of the stage's actions, ascending.
// Actions with the same run order run in parallel.
func (s Stage) RunOrders() []int {
	var orders []int
	for _, a := range s.Actions {
		orders = append(orders, a.RunOrder)
	}
	slices.Sort(orders)
	return slices.Compact(orders)
}

// Condition is the stage's condition of a kind, or nil.
func (s Stage) Condition(kind ConditionKind) *Condition {
	switch kind {
	case BeforeEntry:
		return s.BeforeEntry
	case OnSuccess:
		return s.OnSuccess
	case OnFailure:
		return s.OnFailure
	}
	return nil
}

// Action is one piece of work. Configuration is a JSON object whose shape
// belongs to the action's type: see Source, Build, Image and Deploy.
type Action struct {
	Name          string          `json:"name"`
	Type          ActionType      `json:"type"`
	RunOrder      int             `json:"runOrder"` // from 1
	Inputs        []string        `json:"inputs,omitempty"`
	Outputs       []string        `json:"outputs,omitempty"`
	Configuration json.RawMessage `json:"configuration,omitempty"`
	// Namespace is under which the action's variables are found; "" is its name.
	Namespace string `json:"namespace,omitempty"`
	// Timeout is the longest that the action may take, in minutes; 0 is the
	// default of its type.
	Timeout int     `json:"timeoutInMinutes,omitempty"`
	Foreign Foreign `json:"foreign,omitempty"`
}

// ActionType names the code that carries an action out, as CodePipeline's
// ActionTypeId does. Only Category and Provider choose; Owner and Version are
// there so that a definition survives the round trip to AWS.
type ActionType struct {
	Category Category `json:"category"`
	Owner    string   `json:"owner"`
	Provider string   `json:"provider"`
	Version  string   `json:"version"`
}

func (t ActionType) String() string { return fmt.Sprintf("%s/%s", t.Category, t.Provider) }

// Manual tells that a person ends actions of this type.
func (t ActionType) Manual() bool { return t.Category == CategoryApproval }

// Worker tells that a program outside of Towline does the work: a custom
// action's worker, which asks for jobs and reports how they ended.
func (t ActionType) Worker() bool { return t.Owner == "Custom" || t.Owner == "ThirdParty" }

// Outside tells that actions of this type are ended by somebody outside of
// Towline, so that nothing here runs while they are in progress. Rules are
// always answered here.
func (t ActionType) Outside() bool { return t.Category != CategoryRule && (t.Manual() || t.Worker()) }

// Category is CodePipeline's action category.
type Category string

// The categories. Image builds are of category Build in AWS's model.
const (
	CategorySource   Category = "Source"
	CategoryBuild    Category = "Build"
	CategoryTest     Category = "Test"
	CategoryDeploy   Category = "Deploy"
	CategoryInvoke   Category = "Invoke"
	CategoryApproval Category = "Approval"
	CategoryCompute  Category = "Compute"
	CategoryRule     Category = "Rule"
)

// Stage returns the stage of that name and its index, or ok == false.
func (p Pipeline) Stage(name string) (stage Stage, index int, ok bool) {
	for i, s := range p.Stages {
		if s.Name == name {
			return s, i, true
		}
	}
	return Stage{}, 0, false
}
