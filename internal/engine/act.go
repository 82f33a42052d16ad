package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// act runs one action to its end. What goes wrong on our side becomes an
// outcome as well, Faulted, so that the execution always ends.
func (e *Engine) act(ctx context.Context, command pipeline.RunAction) pipeline.ActionEnded {
	ctx, leave := e.present.enter(ctx, command)
	defer leave()
	result, err := e.attend(ctx, command)
	if err != nil {
		result = pipeline.Result{Outcome: pipeline.Faulted, Message: err.Error()}
	}
	e.watch.setProgress(command, "")
	return pipeline.ActionEnded{
		Execution: command.Execution, Stage: command.Stage, Attempt: command.Attempt, Condition: command.Condition, Action: command.Action,
		Result: result, At: e.Now(),
	}
}

// attend prepares the job, runs it and closes its log with the outcome.
func (e *Engine) attend(ctx context.Context, command pipeline.RunAction) (pipeline.Result, error) {
	execution, err := e.Store.Execution(context.WithoutCancel(ctx), command.Execution)
	if err != nil {
		return pipeline.Result{}, err
	}
	running := slices.Contains(pipeline.Running(execution, command.Stage), command)
	if !running && !abandoned(execution, command) {
		return pipeline.Result{}, nil // It has ended, and the walk is replayed.
	}
	job, err := e.job(execution, command)
	if err != nil {
		return pipeline.Result{}, err
	}
	if !running {
		// Nobody was here to interrupt it: what it has started is to be ended,
		// and what it leaves behind removed.
		e.present.dismissOne(command)
		if execution.Done() {
			e.present.whenGone(execution.ID, func() { e.clean(execution.ID) })
		}
	}
	log, err := e.OpenLog(job.LogFile)
	if err != nil {
		return pipeline.Result{}, fmt.Errorf("open log of action %s: %w", command.Action, err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			e.Logger.Error("close log", "execution", command.Execution, "action", command.Action, "error", err)
		}
	}()
	job.Log = log
	result, err := e.perform(ctx, job)
	if context.Cause(ctx) != nil && errors.Is(context.Cause(ctx), pipeline.ErrShutdown) {
		return result, err
	}
	switch {
	case errors.Is(context.Cause(ctx), pipeline.ErrAbandoned) && (err != nil || result.Outcome != pipeline.Succeeded):
		fmt.Fprintln(log, "Abandoned")
		e.Logger.Info("action abandoned", "execution", job.Execution, "stage", job.Stage, "action", job.Action.Name, "attempt", job.Attempt)
	case err != nil:
		fmt.Fprintf(log, "Faulted: %v\n", err)
		e.Logger.Error("action faulted", "execution", job.Execution, "stage", job.Stage, "action", job.Action.Name, "attempt", job.Attempt, "error", err)
	case !result.Again.IsZero():
		fmt.Fprintf(log, "Waiting: %s\n", result.Summary)
	case result.Outcome != pipeline.Succeeded:
		fmt.Fprintf(log, "%s: %s\n", result.Outcome, strings.TrimRight(result.Message, "\n"))
	}
	return result, err
}

// abandoned tells whether an action, or a rule, was abandoned in this very
// attempt.
func abandoned(execution pipeline.Execution, command pipeline.RunAction) bool {
	stage := execution.Stage(command.Stage)
	actions := stage.Actions
	if command.Condition != "" {
		actions = nil
		if c := stage.Condition(command.Condition); c != nil {
			actions = c.Rules
		}
	}
	return slices.ContainsFunc(actions, func(a pipeline.ActionState) bool {
		return a.Name == command.Action && a.Attempt == command.Attempt && a.Status == pipeline.StatusAbandoned
	})
}

// perform finds the code and calls it. A panic in it is its fault alone.
func (e *Engine) perform(ctx context.Context, job pipeline.Job) (result pipeline.Result, err error) {
	action, ok := e.Action(job.Action.Type)
	if !ok {
		return result, fmt.Errorf("no code for actions of type %s", job.Action.Type)
	}
	defer func() {
		if p := recover(); p != nil {
			e.Logger.Error("action panicked", "execution", job.Execution, "action", job.Action.Name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("action %s panicked: %v", job.Action.Name, p)
		}
	}()
	if job.Action.Timeout == 0 {
		return action.Run(ctx, job)
	}
	longest := time.Duration(job.Action.Timeout) * time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, longest, errTimeout)
	defer cancel()
	result, err = action.Run(ctx, job)
	if errors.Is(context.Cause(ctx), errTimeout) && (err != nil || result.Outcome != pipeline.Succeeded && result.Again.IsZero()) {
		return pipeline.Fail("action %s did not end within %s: raise its timeout, or see in its log what it waited for", job.Action.Name, longest), nil
	}
	return result, err
}

// errTimeout is the cause of the end of an action that takes too long.
var errTimeout = errors.New("the action takes too long")

func (e *Engine) job(execution pipeline.Execution, command pipeline.RunAction) (pipeline.Job, error) {
	stage, _, ok := execution.Definition.Stage(command.Stage)
	if !ok {
		return pipeline.Job{}, fmt.Errorf("execution %s has no stage %s", execution.ID, command.Stage)
	}
	if condition := stage.Condition(command.Condition); condition != nil {
		for _, rule := range condition.Rules {
			if rule.Name == command.Action {
				if made := execution.Artifacts(); len(rule.Inputs) == 0 && len(made) > 0 {
					rule.Inputs = []string{made[0].Name} // the source, as for actions
				}
				return e.jobOf(execution, command, pipeline.Action{
					Name: rule.Name, Type: rule.Type, Inputs: rule.Inputs, Configuration: rule.Configuration, Timeout: rule.Timeout,
				})
			}
		}
	}
	for _, action := range stage.Actions {
		if command.Condition == "" && action.Name == command.Action {
			return e.jobOf(execution, command, action)
		}
	}
	return pipeline.Job{}, fmt.Errorf("stage %s of %s has no action %s", command.Stage, execution.ID, command.Action)
}

func (e *Engine) jobOf(execution pipeline.Execution, command pipeline.RunAction, action pipeline.Action) (pipeline.Job, error) {
	config, err := execution.Configuration(action)
	if err != nil {
		return pipeline.Job{}, fmt.Errorf("configuration of action %s: %w", action.Name, err)
	}
	inputs, err := inputsOf(execution, action)
	if err != nil {
		return pipeline.Job{}, err
	}
	// A rule may have the name of an action.
	file := action.Name
	if command.Condition != "" {
		file = string(command.Condition) + "." + action.Name
	}
	job := pipeline.Job{
		Pipeline: execution.Pipeline, Execution: execution.ID, Number: execution.Number, Revision: execution.Revision, Trigger: execution.Trigger,
		Stage: command.Stage, Attempt: command.Attempt, Action: action, Configuration: config, Inputs: inputs,
		Dir:      filepath.Join(e.workDir(execution.ID), fmt.Sprintf("%s.%d.%s", command.Stage, command.Attempt, file)),
		LogFile:  e.LogFile(execution.ID, command.Stage, command.Attempt, file),
		Progress: func(line string) { e.watch.setProgress(command, line) },
	}
	for dir, mode := range map[string]fs.FileMode{
		// An action may let another user pass to what is below its own
		// directory, as builds do; the way there must not stop it.
		filepath.Dir(job.Dir):     0o711,
		filepath.Dir(job.LogFile): 0o700,
	} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return job, fmt.Errorf("make directory of action %s: %w", action.Name, err)
		}
	}
	if err := os.MkdirAll(job.Dir, 0o700); err != nil {
		return job, fmt.Errorf("make directory of action %s: %w", action.Name, err)
	}
	return job, nil
}

func inputsOf(execution pipeline.Execution, action pipeline.Action) ([]pipeline.Artifact, error) {
	var inputs []pipeline.Artifact
	made := execution.Artifacts()
	for _, name := range action.Inputs {
		found := false
		for _, a := range made {
			if a.Name == name {
				inputs, found = append(inputs, a), true
			}
		}
		if !found {
			return nil, fmt.Errorf("action %s needs artifact %q, which no earlier action has made: list files under artifacts in its buildspec", action.Name, name)
		}
	}
	return inputs, nil
}
