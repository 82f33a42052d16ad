package pipeline_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

// lines are changes in short: "stage Deploy/1 FAILED (go-ahead: why)".
func lines(changes []pipeline.Change) (all []string) {
	for _, c := range changes {
		line := string(c.Kind)
		switch c.Kind {
		case pipeline.ChangeOfStage:
			line += fmt.Sprintf(" %s/%d", c.Stage, c.Attempt)
		case pipeline.ChangeOfAction:
			line += fmt.Sprintf(" %s/%d/%s", c.Stage, c.Attempt, c.Action)
		}
		line += " " + string(c.State)
		if c.Summary != "" {
			line += " (" + c.Summary + ")"
		}
		all = append(all, line)
	}
	return all
}

// changes are those that the last event of a story has made to execution n.
func (s *story) changes(n int, ev pipeline.Event) []pipeline.Change {
	s.Helper()
	var before pipeline.Execution
	if n <= len(s.state.Executions) {
		before = s.execution(n)
	}
	s.on(ev).ok()
	return pipeline.Changes(before, s.execution(n))
}

func TestChanges(t *testing.T) {
	t.Parallel()
	withRetry := func(p *pipeline.Pipeline) {
		p.Stages[1].OnFailure = &pipeline.Condition{Result: pipeline.ResultRetry}
	}
	withEntry := func(result pipeline.ConditionResult) func(*pipeline.Pipeline) {
		return func(p *pipeline.Pipeline) {
			p.Stages[1].BeforeEntry = &pipeline.Condition{Result: result, Rules: []pipeline.Rule{{Name: "window"}}}
		}
	}
	reject := func(s *story) pipeline.Event {
		return pipeline.Approved{
			Execution: "web-1", Stage: "Deploy", Action: "go-ahead", By: "ann", Summary: "not on a Friday", At: start,
			Token: pipeline.ApprovalToken("web-1", "Deploy", s.execution(1).Stage("Deploy").Actions[0].Attempt, "go-ahead"),
		}
	}
	fixed := func(ev pipeline.Event) func(*story) pipeline.Event { return func(*story) pipeline.Event { return ev } }
	second := func(s *story) pipeline.Event {
		ev := started(len(s.state.Executions) + 1)
		ev.Execution.Definition = s.definition
		return ev
	}
	window := ended(1, "Deploy", "window", pipeline.Failed)
	window.Condition = pipeline.BeforeEntry
	for name, c := range map[string]struct {
		story *story
		of    int // execution, 0 is the first
		event func(*story) pipeline.Event
		want  []string
	}{
		"a new execution starts in its first stage": {
			&story{T: t, definition: guarded(nil)}, 1, second,
			[]string{"pipeline STARTED", "stage Source/1 STARTED"},
		},
		"a worker starts the actions": {tell(t, nil), 1, fixed(entered(1, "Source")), []string{"action Source/1/push STARTED"}},
		"what ends is told before what begins": {
			tell(t, nil).on(entered(1, "Source")), 1, fixed(ended(1, "Source", "push", pipeline.Succeeded)),
			[]string{"action Source/1/push SUCCEEDED", "stage Source/1 SUCCEEDED", "stage Deploy/1 STARTED"},
		},
		"an approval begins": {sourced(t, nil), 1, fixed(entered(1, "Deploy")), []string{"action Deploy/1/go-ahead STARTED"}},
		"a rejection ends action, stage and pipeline": {
			waiting(t), 1, reject,
			[]string{
				"action Deploy/1/go-ahead FAILED (rejected by ann: not on a Friday)",
				"stage Deploy/1 FAILED (rejected by ann: not on a Friday)", "pipeline FAILED (rejected by ann: not on a Friday)",
			},
		},
		"a retry resumes": {
			waiting(t).decide(1, false), 1, fixed(pipeline.RetryRequested{Execution: "web-1", Stage: "Deploy", At: start}),
			[]string{"pipeline RESUMED", "stage Deploy/2 RESUMED"},
		},
		"a stage that is tried again by itself has failed first": {
			waiting(t).with(withRetry), 1, reject,
			[]string{"action Deploy/1/go-ahead FAILED (rejected by ann: not on a Friday)", "stage Deploy/1 FAILED (rejected by ann: not on a Friday)", "stage Deploy/2 RESUMED"},
		},
		"a condition that is not met fails the stage": {
			sourced(t, withEntry("")).on(entered(1, "Deploy")), 1, fixed(window),
			[]string{"stage Deploy/1 FAILED (condition BEFORE_ENTRY is not met)", "pipeline FAILED (condition BEFORE_ENTRY is not met)"},
		},
		"a condition skips the stage": {
			sourced(t, withEntry(pipeline.ResultSkip)).on(entered(1, "Deploy")), 1, fixed(window),
			[]string{"stage Deploy/1 SKIPPED", "pipeline SUCCEEDED"},
		},
		"an override resumes": {
			sourced(t, withEntry("")).rule(1, "Deploy", pipeline.BeforeEntry, pipeline.Failed), 1,
			fixed(pipeline.Overridden{Execution: "web-1", Stage: "Deploy", Kind: pipeline.BeforeEntry, At: start}),
			[]string{"pipeline RESUMED", "stage Deploy/1 RESUMED", "action Deploy/1/go-ahead STARTED"},
		},
		"a stop waits": {
			waiting(t), 1, fixed(pipeline.StopRequested{Execution: "web-1", At: start}),
			[]string{"pipeline STOPPING", "stage Deploy/1 STOPPING"},
		},
		"what was waited for has ended": {
			waiting(t).on(pipeline.StopRequested{Execution: "web-1", Reason: "wrong branch", At: start}), 1, reject,
			[]string{"action Deploy/1/go-ahead FAILED (rejected by ann: not on a Friday)", "stage Deploy/1 FAILED (rejected by ann: not on a Friday)", "pipeline STOPPED (wrong branch)"},
		},
		"what is abandoned is told": {
			waiting(t), 1, fixed(pipeline.StopRequested{Execution: "web-1", Abandon: true, Reason: "wrong branch", At: start}),
			[]string{"action Deploy/1/go-ahead ABANDONED", "stage Deploy/1 STOPPED", "pipeline STOPPED (wrong branch)"},
		},
		"the one that waits is superseded": {
			tell(t, nil).start(2), 2, second, []string{"pipeline SUPERSEDED"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, lines(c.story.changes(c.of, c.event(c.story)))); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// with changes the definition of the first execution while it runs.
func (s *story) with(change func(*pipeline.Pipeline)) *story {
	change(&s.state.Executions[0].Definition)
	return s
}

func TestAnApprovalTellsWhatItAsks(t *testing.T) {
	t.Parallel()
	s := sourced(t, func(p *pipeline.Pipeline) {
		p.Stages[1].Actions[0].Configuration = json.RawMessage(`{"CustomData": "look at #{codepipeline.PipelineExecutionId}", "ExternalEntityLink": "https://staging.example.org/"}`)
	})
	got := s.changes(1, entered(1, "Deploy"))
	if len(got) != 1 || !got[0].ApprovalNeeded() || got[0].Comment != "look at web-1" || got[0].Link != "https://staging.example.org/" {
		t.Errorf("changes %+v", got)
	}
}

func TestAChangeSetIsSmallAndKnowsItsExecution(t *testing.T) {
	t.Parallel()
	s := tell(t, nil).on(entered(1, "Source"))
	s.state.Executions[0].Revision = pipeline.Revision{Commit: "0123456789", Message: "Mend it\n\nbecause"}
	before := s.execution(1)
	ev := ended(1, "Source", "push", pipeline.Failed)
	ev.Result.Message = strings.Repeat("ä", 3000)
	s.on(ev).on(pipeline.RetryRequested{Execution: "web-1", Stage: "Source", At: start}).ok()
	set := pipeline.NewChangeSet(before, s.execution(1), start)
	if set.Attempt != 2 || set.Execution != "web-1" || set.Number != 1 || set.Revision.Message != "Mend it" || set.Sequence != s.execution(1).Sequence {
		t.Errorf("change set %+v", set)
	}
	summary := set.Changes[1].Summary
	if len(summary) > 2000 || !strings.HasSuffix(summary, "ä...") || !utf8.ValidString(summary) {
		t.Errorf("changes %v; a summary of %d bytes", lines(set.Changes)[:1], len(summary))
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	var again pipeline.ChangeSet
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(set, again); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
}

// checkChanges: replayed on what was, the changes lead to what is, and nothing
// ends that did not begin.
func (w *walk) checkChanges(was, is pipeline.Execution, ev pipeline.Event) {
	r := replay{pipeline: string(was.Status), parts: map[string]string{}}
	for _, s := range was.Stages {
		r.parts[s.Name] = string(s.Status)
		for _, a := range s.Actions {
			r.parts[s.Name+"/"+a.Name] = string(a.Status)
		}
	}
	changes := pipeline.Changes(was, is)
	for _, c := range changes {
		if err := r.apply(c); err != nil {
			w.Fatalf("%+v: changes of %s: %v\n%s", ev, is.ID, err, strings.Join(lines(changes), "\n"))
		}
	}
	if r.pipeline != string(is.Status) {
		w.Fatalf("%+v: after its changes %s is %s, want %s\n%s", ev, is.ID, r.pipeline, is.Status, strings.Join(lines(changes), "\n"))
	}
	for _, s := range is.Stages {
		if got := r.parts[s.Name]; got != string(s.Status) && s.Status != pipeline.StatusPending {
			w.Fatalf("%+v: after the changes of %s its stage %s is %s, want %s\n%s", ev, is.ID, s.Name, got, s.Status, strings.Join(lines(changes), "\n"))
		}
		for _, a := range s.Actions {
			if got := r.parts[s.Name+"/"+a.Name]; got != string(a.Status) && a.Status != pipeline.StatusPending {
				w.Fatalf("%+v: after the changes of %s its action %s/%s is %s, want %s\n%s", ev, is.ID, s.Name, a.Name, got, a.Status, strings.Join(lines(changes), "\n"))
			}
		}
	}
}

// replay follows statuses by nothing but changes.
type replay struct {
	pipeline string
	parts    map[string]string // by stage or stage/action
}

var statusOf = map[pipeline.ChangeState]string{
	pipeline.ChangeStarted: "InProgress", pipeline.ChangeResumed: "InProgress", pipeline.ChangeStopping: "Stopping",
	pipeline.ChangeSucceeded: "Succeeded", pipeline.ChangeFailed: "Failed", pipeline.ChangeStopped: "Stopped",
	pipeline.ChangeSuperseded: "Superseded", pipeline.ChangeSkipped: "Skipped", pipeline.ChangeAbandoned: "Abandoned",
}

func (r *replay) apply(c pipeline.Change) error {
	key := c.Stage
	var was string
	switch c.Kind {
	case pipeline.ChangeOfPipeline:
		was = r.pipeline
	case pipeline.ChangeOfAction:
		key += "/" + c.Action
		was = r.parts[key]
		if r.parts[c.Stage] != "InProgress" {
			return fmt.Errorf("%v in a stage that is %q", lines([]pipeline.Change{c}), r.parts[c.Stage])
		}
	default:
		was = r.parts[key]
	}
	runs := was == "InProgress" || was == "Stopping"
	begins := c.State == pipeline.ChangeStarted || c.State == pipeline.ChangeResumed
	fresh := was == "" || was == "Pending"
	switch {
	case begins == runs, c.Kind != pipeline.ChangeOfAction && begins && fresh != (c.State == pipeline.ChangeStarted):
		return fmt.Errorf("%v of one that is %q", lines([]pipeline.Change{c}), was)
	case c.Kind == pipeline.ChangeOfPipeline:
		r.pipeline = statusOf[c.State]
	case c.Kind == pipeline.ChangeOfStage && c.State == pipeline.ChangeStopping:
		// The stage itself stays in progress.
	default:
		r.parts[key] = statusOf[c.State]
	}
	return nil
}
