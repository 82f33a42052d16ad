package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/towline/towline/internal/forge"
	"github.com/towline/towline/internal/pipeline"
)

// statusesEvery is how often it is looked what forges are to be told.
const statusesEvery = 3 * time.Second

// statusesPause is how long a forge that could not be told something is left in
// peace, if it does not ask for longer.
const statusesPause = time.Minute

// tellStatuses tells the forges of mirrors what becomes of their commits. What
// could not be told is tried again: a status is told at least once, and the
// last one last.
func (a *App) tellStatuses(ctx context.Context) error {
	all, err := a.store.Mirrors(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range all {
		if err := a.tellStatusesOf(ctx, m.Name); err != nil {
			errs = append(errs, fmt.Errorf("mirror %s: %w", m.Name, err))
		}
	}
	return errors.Join(errs...)
}

// tellStatusesOf tells one forge.
func (a *App) tellStatusesOf(ctx context.Context, name string) error {
	if a.mirrors.hushed(name) {
		return nil
	}
	stored, secrets, err := a.mirrors.open(ctx, name)
	if err != nil || secrets.StatusToken == "" {
		return err
	}
	untold, err := a.store.Untold(ctx, name, stored.Created)
	if err != nil || len(untold) == 0 {
		return err
	}
	reporter, err := a.mirrors.reporter(stored, secrets)
	if err != nil {
		return err
	}
	for _, e := range untold {
		err := reporter.Report(ctx, statusOf(e, a.PublicURL()))
		if refusal, ok := errors.AsType[*forge.ReportError](err); ok && !refusal.Later {
			// Asking again for what the forge will not have would only annoy it.
			a.options.Logger.Warn("the forge refuses a status", "execution", e.ID, "error", err)
		} else if err != nil {
			wait := statusesPause
			if ok {
				wait = max(wait, refusal.RetryAfter)
			}
			a.mirrors.hush(name, a.mirrors.now().Add(wait))
			return err
		}
		if err := a.store.SetTold(ctx, e.ID, e.Status); err != nil {
			return err
		}
	}
	return nil
}

// statusOf is what is shown beside the commit of an execution.
func statusOf(e pipeline.Execution, server string) forge.Status {
	s := forge.Status{
		Commit: e.Revision.Commit, Branch: e.Revision.Branch, Name: "towline/" + e.Pipeline,
		URL: server + "/api/v1/executions/" + e.ID, State: forge.Stopped, Description: e.ID + " is " + strings.ToLower(string(e.Status)),
	}
	switch e.Status {
	case pipeline.ExecutionInProgress, pipeline.ExecutionStopping:
		s.State, s.Description = forge.Running, e.ID+" runs"
	case pipeline.ExecutionSucceeded:
		s.State, s.Description = forge.Succeeded, e.ID+" succeeded"
	case pipeline.ExecutionFailed:
		s.State, s.Description = forge.Failed, e.ID+" failed"
		for _, stage := range e.Stages {
			if stage.Status == pipeline.StatusFailed {
				s.Description = e.ID + " failed in stage " + stage.Name
			}
		}
	}
	return s
}
