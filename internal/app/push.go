package app

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// catchUpEvery is how often the server looks for pushes that it was not told
// of.
const catchUpEvery = time.Minute

var (
	// errSeen ends the transaction of a push that has been acted on already.
	errSeen = errors.New("this push has been acted on")
	// errOvertaken ends the transaction of a push beside which another one of
	// the same branch was acted on.
	errOvertaken = errors.New("another push has been acted on meanwhile")
)

// head is a branch that has moved: from the commit that was last acted on to
// the one where it stands.
type head struct {
	store.Head
	seen string
}

// pushed acts on what a push moved and returns what the pusher should read.
func (a *App) pushed(ctx context.Context, push source.Push) []string {
	var lines []string
	for _, update := range push.Updates {
		if branch, ok := update.Branch(); ok {
			lines = append(lines, a.moved(ctx, push.Repository, branch)...)
		}
	}
	return lines
}

// moved acts on a branch's newest commit. Acting twice on the same commit of
// the same branch does nothing. What counts is where the branch stands and not
// what was told: pushes that overlap each other, or the look for missed ones,
// may be told in any order, and an older commit must not follow a newer one.
func (a *App) moved(ctx context.Context, repository, branch string) []string {
	for {
		h, err := a.head(ctx, repository, branch)
		var lines []string
		if err == nil {
			lines, err = a.act(ctx, h)
		}
		switch {
		case errors.Is(err, errOvertaken) && ctx.Err() == nil:
			continue
		case errors.Is(err, errSeen):
			return nil
		case err != nil:
			a.options.Logger.Error("act on push", "repository", repository, "branch", branch, "commit", h.Commit, "error", err)
			return append(lines, "error: "+err.Error(), "the commit is stored; it is tried again every minute")
		}
		return lines
	}
}

// head reads what was seen before where the branch stands: if nothing else is
// seen by the time of the transaction, the commit is not an older one.
func (a *App) head(ctx context.Context, repository, branch string) (head, error) {
	h := head{Head: store.Head{Repository: repository, Branch: branch}}
	seen, err := a.store.Heads(ctx, repository)
	if err != nil {
		return h, err
	}
	now, err := a.repositories.Heads(ctx, repository)
	if err != nil {
		return h, err
	}
	h.seen, h.Commit = seen[branch], now[branch]
	if h.seen == h.Commit {
		return h, errSeen
	}
	return h, nil
}

func (a *App) act(ctx context.Context, head head) ([]string, error) {
	if head.Commit == "" {
		return nil, a.see(ctx, head)
	}
	text, err := a.repositories.ReadFile(ctx, head.Repository, head.Commit, definition.FileName)
	if errors.Is(err, source.ErrNotFound) {
		return []string{fmt.Sprintf("%s has no %s on %s: nothing runs", head.Repository, definition.FileName, head.Branch)}, a.see(ctx, head)
	}
	if err != nil {
		return nil, err
	}
	p, err := definition.Parse(text, head.Repository)
	if problems, ok := errors.AsType[definition.Problems](err); ok {
		lines := []string{"nothing runs:"}
		for _, problem := range problems {
			lines = append(lines, "  "+problem.String())
		}
		return append(lines, "mend it and push again; check first with: towline pipeline validate"), a.see(ctx, head)
	}
	if err != nil {
		return nil, err
	}
	if !watches(p, head.Branch) {
		line := fmt.Sprintf("no pipeline watches branch %s: %s watches %s", head.Branch, p.Name, strings.Join(watched(p), ", "))
		return []string{line}, a.see(ctx, head)
	}
	return a.begin(ctx, p, head)
}

// begin starts an execution, and records with it the definition and that the
// push has been acted on.
func (a *App) begin(ctx context.Context, p pipeline.Pipeline, head head) ([]string, error) {
	revision, err := a.repositories.Revision(ctx, head.Repository, head.Commit)
	if err != nil {
		return nil, err
	}
	revision.Branch = head.Branch
	execution, err := a.engine.StartExecution(ctx, engine.StartRequest{
		Pipeline: p.Name, Revision: revision, Trigger: pipeline.Trigger{Type: pipeline.TriggerPush, Detail: head.Branch},
		Also: func(ctx context.Context, q store.Querier) error {
			if err := setSeen(ctx, q, head); err != nil {
				return err
			}
			return store.PutPipeline(ctx, q, p, head.Repository, time.Now())
		},
	})
	if err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprintf("%s #%d started for %s", p.Name, execution.Number, revision.Short()),
		fmt.Sprintf("follow it with: towline logs -f %s", execution.ID),
	}, nil
}

func watches(p pipeline.Pipeline, branch string) bool {
	return slices.ContainsFunc(watched(p), func(glob string) bool {
		ok, _ := path.Match(glob, branch)
		return ok
	})
}

// watched are the globs of the branches that a pipeline watches.
func watched(p pipeline.Pipeline) []string {
	var globs []string
	for _, filter := range p.On.Push {
		if filter.Branches != nil {
			globs = append(globs, filter.Branches.Includes...)
		}
	}
	return globs
}

func (a *App) see(ctx context.Context, head head) error {
	return a.store.Update(ctx, func(q store.Querier) error { return setSeen(ctx, q, head) })
}

// setSeen records that a head has been acted on, if nothing has been since it
// was read.
func setSeen(ctx context.Context, q store.Querier, head head) error {
	seen, err := store.GetHead(ctx, q, head.Repository, head.Branch)
	if err != nil {
		return err
	}
	if seen != head.seen {
		return errOvertaken
	}
	return store.SetHead(ctx, q, head.Head)
}

// catchUp acts on the branches that moved while nobody was told: before the
// start, or by a push whose hook could not run.
func (a *App) catchUp(ctx context.Context) error {
	names, err := a.repositories.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		now, err := a.repositories.Heads(ctx, name)
		if err != nil {
			return err
		}
		seen, err := a.store.Heads(ctx, name)
		if err != nil {
			return err
		}
		for branch := range seen {
			if now[branch] == "" {
				now[branch] = "" // deleted: its seen head is to be forgotten
			}
		}
		for branch, commit := range now {
			if seen[branch] != commit {
				a.missed(ctx, name, branch)
			}
		}
	}
	return nil
}

func (a *App) missed(ctx context.Context, repository, branch string) {
	for _, line := range a.moved(ctx, repository, branch) {
		a.options.Logger.Info("push that nobody told of", "repository", repository, "branch", branch, "outcome", line)
	}
}

// keepCatchingUp looks for missed pushes until ctx ends: a push may outlive the
// server that it was made to, and reach the repository after the next one's
// first look.
func (a *App) keepCatchingUp(ctx context.Context) {
	tick := time.NewTicker(catchUpEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.catchUp(ctx); err != nil && ctx.Err() == nil {
				a.options.Logger.Warn("look for missed pushes", "error", err)
			}
		}
	}
}
