package view

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/ui/look"
)

// Attempt is one attempt of one action of an execution.
type Attempt struct {
	Stage   string
	Attempt int
	Action  pipeline.ActionState
	// Attempts are all of them that ran, in their order.
	Attempts []int
	// Progress is its present line of progress, "" when it has none.
	Progress string
}

// Running tells that the action is in progress.
func (a Attempt) Running() bool { return a.Action.Status == pipeline.StatusInProgress }

// Find looks for an attempt of an action, among the earlier ones of its stage
// too.
func Find(e client.Execution, stage string, attempt int, action string) (found Attempt, ok bool) {
	s := e.Stage(stage)
	if s == nil {
		return Attempt{}, false
	}
	found = Attempt{Stage: stage, Attempt: attempt}
	look := func(of int, actions []pipeline.ActionState) {
		at := slices.IndexFunc(actions, func(a pipeline.ActionState) bool { return a.Name == action })
		if at < 0 || actions[at].Started.IsZero() && of != attempt || actions[at].Attempt != 0 && actions[at].Attempt != of {
			return
		}
		found.Attempts = append(found.Attempts, of)
		if of == attempt {
			found.Action, ok = actions[at], true
		}
	}
	for _, earlier := range s.Earlier {
		look(earlier.Attempt, earlier.Actions)
	}
	look(max(s.Attempt, 1), s.Actions)
	if ok && attempt == s.Attempt {
		found.Progress = e.Progress[stage+"/"+action]
	}
	return found, ok
}

// Focus is the attempt that a reader wants to see first: of what has failed, else
// of what runs or waits, else what ran last. It is nil before anything has run.
func Focus(e client.Execution) *Attempt {
	var best *Attempt
	rank := func(s pipeline.Status) int {
		return slices.Index([]pipeline.Status{pipeline.StatusFailed, pipeline.StatusInProgress}, s)
	}
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Started.IsZero() {
				continue
			}
			found, ok := Find(e, s.Name, max(a.Attempt, 1), a.Name)
			if !ok {
				continue
			}
			switch was := best; {
			case was == nil, rank(was.Action.Status) < 0:
				best = &found
			case rank(a.Status) >= 0 && rank(a.Status) < rank(was.Action.Status):
				best = &found
			}
		}
	}
	return best
}

// ExecutionPath is where the page of an execution is.
func ExecutionPath(id string) string { return "/executions/" + url.PathEscape(id) }

// PipelinePath is where the page of a pipeline is.
func PipelinePath(name string) string { return "/pipelines/" + url.PathEscape(name) }

// ActionPath is where the page of an attempt is.
func ActionPath(id, stage string, attempt int, action string) string {
	return fmt.Sprintf("%s/stages/%s/%d/actions/%s", ExecutionPath(id), url.PathEscape(stage), max(attempt, 1), url.PathEscape(action))
}

func logPath(id string, a Attempt) string {
	return "/api/v1" + ActionPath(id, a.Stage, a.Attempt, a.Action.Name) + "/log"
}

// hasLog tells whether an action writes one: those that people decide do not.
func hasLog(a pipeline.ActionState) bool { return !a.Started.IsZero() && !a.Type.Outside() }

// trigger says why an execution was started, in words.
func trigger(t pipeline.Trigger) string {
	words := map[string]string{
		pipeline.TriggerPush: "a push", pipeline.TriggerManual: "a person", pipeline.TriggerWebhook: "a webhook", pipeline.TriggerPutWebhook: "a webhook",
		pipeline.TriggerPoll: "a look at the source", pipeline.TriggerSchedule: "the schedule", pipeline.TriggerManualRollback: "a rollback by hand",
		pipeline.TriggerAutomatedRollback: "a rollback by itself",
	}
	text, ok := words[t.Type]
	if !ok {
		text = look.Words(t.Type)
	}
	if t.Source != nil {
		text += " to " + t.Source.Words()
	} else if t.Detail != "" {
		text += ", " + t.Detail
	}
	return text
}

// question is what an action that waits for a person asks them, and the token
// by which they answer; ok is false for any other action.
func question(e client.Execution, s pipeline.StageState, a pipeline.ActionState) (token string, ok bool) {
	if !a.Type.Manual() || a.Status != pipeline.StatusInProgress {
		return "", false
	}
	return pipeline.ApprovalToken(e.ID, s.Name, s.Attempt, a.Name), true
}

// asked are the words of an approval: its message and its link, both "" when it
// has none.
func asked(e client.Execution, stage, action string) (text, link string) {
	s, _, ok := e.Definition.Stage(stage)
	if !ok {
		return "", ""
	}
	for _, a := range s.Actions {
		if a.Name == action {
			return e.Question(a)
		}
	}
	return "", ""
}

// place is where a revision is from.
func place(r pipeline.Revision) string {
	switch {
	case r.Tag != "":
		return r.Repository + ", tag " + r.Tag
	case r.Branch != "":
		return r.Repository + ", branch " + r.Branch
	}
	return r.Repository
}

// mayGoBack tells whether a stage may be brought back to what this execution did
// in it: one that has changed something somewhere, by a deployment or a function.
func mayGoBack(e client.Execution, s pipeline.StageState) bool {
	if !e.Done() || e.Type == pipeline.ExecutionRollback || s.Status != pipeline.StatusSucceeded {
		return false
	}
	return slices.ContainsFunc(s.Actions, func(a pipeline.ActionState) bool {
		return a.Type.Category == pipeline.CategoryDeploy || a.Type.Category == pipeline.CategoryInvoke
	})
}

// unmet are the conditions of a stage that somebody may set aside.
func unmet(s pipeline.StageState) (found []pipeline.ConditionState) {
	for _, c := range s.Conditions {
		if c.Kind != pipeline.OnFailure && (c.Status == pipeline.StatusFailed || c.Status == pipeline.StatusInProgress) {
			found = append(found, c)
		}
	}
	return found
}

func stopped(s pipeline.StageState) bool {
	return s.Status == pipeline.StatusFailed || s.Status == pipeline.StatusStopped
}
