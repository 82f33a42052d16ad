package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/forge"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/rounds"
	"github.com/towline/towline/internal/store"
)

const (
	// statusesEvery is how often it is looked what forges are to be told.
	statusesEvery    = 3 * time.Second
	statusesParallel = 8
	// statusesPause is how long a forge that could not be told something is left
	// in peace, if it does not ask for longer.
	statusesPause = time.Minute
)

// newStatuses tells the forges of mirrors what becomes of their commits. What
// could not be told is tried again: a status is told at least once, and the
// last one last. Each forge is told beside the others, so that one which does
// not answer holds up its own mirrors alone.
func (a *App) newStatuses() *rounds.Rounds {
	return rounds.New(rounds.Config{
		What: "tell forges the statuses of commits", Every: statusesEvery, Parallel: statusesParallel, Logger: a.options.Logger,
		Due: a.forgesToTell, Do: a.tellForge,
	})
}

// forgesToTell lists the hosts of the mirrors that may be told something.
func (a *App) forgesToTell(ctx context.Context) (hosts []string, err error) {
	all, err := a.store.Mirrors(ctx)
	for _, m := range all {
		if host, ok := forgeOf(m); ok && !a.mirrors.hushed(m.Name) && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, err
}

// forgeOf is the host of a mirror's forge.
func forgeOf(m store.Mirror) (host string, ok bool) {
	remote, err := forge.ParseRemote(m.URL)
	return remote.Host, err == nil
}

// tellForge tells the forge at a host what has become of the commits of all of
// its mirrors.
func (a *App) tellForge(ctx context.Context, host string) {
	all, err := a.store.Mirrors(ctx)
	if err != nil {
		a.options.Logger.Error("list mirrors", "error", err)
	}
	for _, m := range all {
		if its, ok := forgeOf(m); !ok || its != host {
			continue
		}
		err := a.tellStatusesOf(ctx, m)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.options.Logger.Warn("tell a forge the status of a commit", "mirror", m.Name, "error", err)
		}
		if refusal, ok := errors.AsType[*forge.ReportError](err); ok && refusal.Status == 0 {
			return // It does not answer, and would not for the next mirror.
		}
	}
}

// tellStatusesOf tells what has become of the commits of one mirror.
func (a *App) tellStatusesOf(ctx context.Context, stored store.Mirror) error {
	if a.mirrors.hushed(stored.Name) {
		return nil
	}
	untold, err := a.store.Untold(ctx, stored.Name, stored.Created)
	if err != nil || len(untold) == 0 {
		return err
	}
	stored, secrets, err := a.mirrors.open(ctx, stored.Name)
	if err != nil || secrets.StatusToken == "" {
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
			a.mirrors.hush(stored.Name, a.mirrors.now().Add(wait))
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
