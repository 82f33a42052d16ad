package pipeline_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

// walker is an execution that is inside a stage, or has still to enter it.
func walker(number int, status pipeline.Status, actions ...pipeline.ActionState) pipeline.Execution {
	return pipeline.Execution{
		ID: "web-" + string(rune('0'+number)), Number: number, Status: pipeline.ExecutionInProgress, Started: start,
		Definition: pipeline.Pipeline{Name: "web", Mode: pipeline.ModeQueued},
		Stages: []pipeline.StageState{
			{Name: "Test", Status: pipeline.StatusSucceeded, Attempt: 1, Actions: []pipeline.ActionState{{Name: "unit", Status: pipeline.StatusSucceeded, Ended: start.Add(time.Minute)}}},
			{Name: "Deploy", Status: status, Attempt: 1, Actions: actions},
		},
	}
}

func busy(category pipeline.Category, owner string) pipeline.ActionState {
	return pipeline.ActionState{
		Name: "go", Type: pipeline.ActionType{Category: category, Owner: owner, Provider: "P"}, Status: pipeline.StatusInProgress,
		Started: start.Add(time.Hour), Due: start.Add(2 * time.Hour),
	}
}

func TestAnExecutionSaysWhyItWaits(t *testing.T) {
	t.Parallel()
	began, due := start.Add(time.Hour), start.Add(2*time.Hour)
	reached := start.Add(time.Minute)
	window := busy(pipeline.CategoryRule, "AWS")
	window.Waits = "the window"
	again := busy(pipeline.CategoryDeploy, "AWS")
	again.Waits = "its time"
	asks := walker(1, pipeline.StatusInProgress)
	asks.Stages[1].Conditions = []pipeline.ConditionState{{Kind: pipeline.BeforeEntry, Status: pipeline.StatusInProgress, Rules: []pipeline.ActionState{window}}}
	runs := busy(pipeline.CategoryDeploy, "AWS")
	rollback := walker(3, pipeline.StatusPending)
	rollback.Type, rollback.Stages = pipeline.ExecutionRollback, rollback.Stages[1:]
	parallel := walker(2, pipeline.StatusPending)
	parallel.Definition.Mode = pipeline.ModeParallel
	newer, older := walker(3, pipeline.StatusPending), walker(2, pipeline.StatusPending)
	newer.Definition.Mode, older.Definition.Mode = pipeline.ModeSuperseded, pipeline.ModeSuperseded
	ended := walker(1, pipeline.StatusSucceeded)
	ended.Status = pipeline.ExecutionSucceeded
	shut := []pipeline.Transition{{Stage: "Deploy", Type: pipeline.Inbound, Reason: "freeze", By: "ada", At: due}}
	for _, c := range []struct {
		name   string
		e      pipeline.Execution
		others []pipeline.Execution
		closed []pipeline.Transition
		want   *pipeline.Hold
	}{
		{"for a person", walker(1, pipeline.StatusInProgress, busy(pipeline.CategoryApproval, "AWS")), nil, nil, &pipeline.Hold{
			Kind: pipeline.HoldApproval, Stage: "Deploy", Action: "go", Since: began, Until: due, Sentence: "Somebody has to approve or reject go of stage Deploy.",
		}},
		{"for a person first, when a program is waited for as well", walker(1, pipeline.StatusInProgress, busy(pipeline.CategoryDeploy, "Custom"), busy(pipeline.CategoryApproval, "AWS")), nil, nil, &pipeline.Hold{
			Kind: pipeline.HoldApproval, Stage: "Deploy", Action: "go", Since: began, Until: due, Sentence: "Somebody has to approve or reject go of stage Deploy.",
		}},
		{"for nobody while something runs beside it", walker(1, pipeline.StatusInProgress, busy(pipeline.CategoryApproval, "AWS"), runs), nil, nil, nil},
		{"for a worker", walker(1, pipeline.StatusInProgress, busy(pipeline.CategoryDeploy, "Custom")), nil, nil, &pipeline.Hold{
			Kind: pipeline.HoldWorker, Stage: "Deploy", Action: "go", Since: began, Until: due, Sentence: "A worker outside of Towline, P, has to do go of stage Deploy.",
		}},
		{"for a window", asks, nil, nil, &pipeline.Hold{
			Kind: pipeline.HoldRule, Stage: "Deploy", Action: "go", Condition: pipeline.BeforeEntry, Since: began, Until: due, Sentence: "Rule go of stage Deploy waits for the window.",
		}},
		{"for a time", walker(1, pipeline.StatusInProgress, again), nil, nil, &pipeline.Hold{
			Kind: pipeline.HoldTime, Stage: "Deploy", Action: "go", Since: began, Until: due, Sentence: "Action go of stage Deploy waits for its time.",
		}},
		{"for a way to be opened", walker(2, pipeline.StatusPending), []pipeline.Execution{walker(1, pipeline.StatusInProgress, runs)}, shut, &pipeline.Hold{
			Kind: pipeline.HoldTransition, Stage: "Deploy", By: "ada", Since: due, Sentence: "The way into stage Deploy is closed by ada: freeze",
		}},
		{"for the execution in the stage", walker(2, pipeline.StatusPending), []pipeline.Execution{walker(1, pipeline.StatusInProgress, runs)}, nil, &pipeline.Hold{
			Kind: pipeline.HoldStage, Stage: "Deploy", Execution: "web-1", Since: reached, Sentence: "Execution #1 is in stage Deploy.",
		}},
		{"for those before it in the queue", walker(3, pipeline.StatusPending), []pipeline.Execution{walker(1, pipeline.StatusPending), walker(2, pipeline.StatusPending), walker(4, pipeline.StatusPending)}, nil, &pipeline.Hold{
			Kind: pipeline.HoldQueue, Stage: "Deploy", Execution: "web-1", Ahead: 2, Since: reached, Sentence: "2 executions enter stage Deploy first.",
		}},
		{"for a rollback, which is served first", walker(1, pipeline.StatusPending), []pipeline.Execution{rollback}, nil, &pipeline.Hold{
			Kind: pipeline.HoldQueue, Stage: "Deploy", Execution: "web-3", Ahead: 1, Since: reached, Sentence: "1 execution enters stage Deploy first: web-3.",
		}},
		{"for the newer one, where the newest goes first", older, []pipeline.Execution{newer}, nil, &pipeline.Hold{
			Kind: pipeline.HoldQueue, Stage: "Deploy", Execution: "web-3", Ahead: 1, Since: reached, Sentence: "1 execution enters stage Deploy first: web-3.",
		}},
		{"for no closed way when it is a rollback", rollback, nil, shut, nil},
		{"for nobody when it runs in parallel", parallel, []pipeline.Execution{walker(1, pipeline.StatusInProgress, runs)}, shut, nil},
		{"for nobody when it has ended", ended, nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pipeline.State{Executions: append(c.others, c.e), Disabled: c.closed}
			if diff := cmp.Diff(c.want, s.Hold(c.e)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.want != nil && !c.e.Waiting() {
				t.Error("it does not know that it waits")
			}
		})
	}
}
