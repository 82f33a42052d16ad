package pipeline

import (
	"slices"
	"strings"
	"time"
)

// Slim is the execution without what is seen only by who looks at it alone: the
// definition but for its mode, results, variables, earlier attempts. What is
// left says how it stands and why it waits.
func (e Execution) Slim() Execution {
	e.Definition = Pipeline{Name: e.Definition.Name, Mode: e.Definition.Mode}
	e.Revision.Message, _, _ = strings.Cut(e.Revision.Message, "\n")
	e.Revision.Message = cut(e.Revision.Message)
	e.Overrides, e.Given, e.Inherited = nil, nil, nil
	stages := make([]StageState, 0, len(e.Stages))
	for _, s := range e.Stages {
		slim := StageState{Name: s.Name, Status: s.Status, Attempt: s.Attempt, Actions: slimActions(s.Actions)}
		for _, c := range s.Conditions {
			slim.Conditions = append(slim.Conditions, ConditionState{Kind: c.Kind, Status: c.Status, At: c.At, Rules: slimActions(c.Rules)})
		}
		stages = append(stages, slim)
	}
	e.Stages = stages
	return e
}

func slimActions(actions []ActionState) []ActionState {
	slim := make([]ActionState, 0, len(actions))
	for _, a := range actions {
		a.Result = nil
		slim = append(slim, a)
	}
	return slim
}

// Span is when something of the stage's attempt first ran, and when the last of
// it ended: zero while something is in progress, and before anything has run.
func (s *StageState) Span() (started, ended time.Time) {
	actions := s.Actions
	for _, c := range s.Conditions {
		actions = append(slices.Clip(actions), c.Rules...)
	}
	for _, a := range actions {
		if !a.Started.IsZero() && (started.IsZero() || a.Started.Before(started)) {
			started = a.Started
		}
		if a.Ended.After(ended) {
			ended = a.Ended
		}
	}
	if !over(s.Status) {
		ended = time.Time{}
	}
	return started, ended
}
