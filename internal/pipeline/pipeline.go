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

// Pipeline is a definition: what runs, in which order, for which pushes. It is
// immutable once an execution has started with it; the execution keeps a copy.
type Pipeline struct {
	Name    string  `json:"name"`
	Version int     `json:"version"`
	On      On      `json:"on"`
	Stages  []Stage `json:"stages"`
}

// On says which events start an execution.
type On struct {
	Push Push `json:"push"`
}

// Push filters pushes to the built-in git server by branch.
type Push struct {
	// Branches are globs in path.Match's syntax. Empty means "main".
	Branches []string `json:"branches,omitempty"`
}

// Stage is a group of actions that one execution at a time may occupy.
type Stage struct {
	Name    string   `json:"name"`
	Actions []Action `json:"actions"`
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

// Action is one piece of work. Configuration is a JSON object whose shape
// belongs to the action's type: see Source, Build, Image and Deploy.
type Action struct {
	Name          string          `json:"name"`
	Type          ActionType      `json:"type"`
	RunOrder      int             `json:"runOrder"` // from 1
	Inputs        []string        `json:"inputs,omitempty"`
	Outputs       []string        `json:"outputs,omitempty"`
	Configuration json.RawMessage `json:"configuration,omitempty"`
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

// Category is CodePipeline's action category.
type Category string

// The categories. Image builds are of category Build in AWS's model.
const (
	CategorySource Category = "Source"
	CategoryBuild  Category = "Build"
	CategoryDeploy Category = "Deploy"
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
