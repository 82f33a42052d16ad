package app

import (
	"context"
	"errors"
	"fmt"
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

// tagRef is what tells a tag's seen commit from a branch's.
const tagRef = "refs/tags/"

var (
	// errSeen ends the transaction of a push that has been acted on already.
	errSeen = errors.New("this push has been acted on")
	// errOvertaken ends the transaction of a push beside which another one of
	// the same branch was acted on.
	errOvertaken = errors.New("another push has been acted on meanwhile")
)

// head is a branch or a tag that has moved: from the commit that was last acted
// on to the one where it stands.
type head struct {
	store.Head
	seen string
}

func (h head) tag() (string, bool) { return strings.CutPrefix(h.Branch, tagRef) }

func (h head) String() string {
	if tag, ok := h.tag(); ok {
		return "tag " + tag
	}
	return "branch " + h.Branch
}

// pushed acts on what a push moved and returns what the pusher should read.
func (a *App) pushed(ctx context.Context, push source.Push) []string {
	var lines []string
	for _, update := range push.Updates {
		if branch, ok := update.Branch(); ok {
			lines = append(lines, a.moved(ctx, push.Repository, branch)...)
		}
		if tag, ok := update.Tag(); ok {
			lines = append(lines, a.moved(ctx, push.Repository, tagRef+tag)...)
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
	if h.seen = seen[branch]; strings.HasPrefix(branch, tagRef) {
		revision, err := a.repositories.Revision(ctx, repository, branch)
		if err != nil && !errors.Is(err, source.ErrNoRevision) {
			return h, err
		}
		h.Commit = revision.Commit
	} else {
		now, err := a.repositories.Heads(ctx, repository)
		if err != nil {
			return h, err
		}
		h.Commit = now[branch]
	}
	if h.seen == h.Commit {
		return h, errSeen
	}
	return h, nil
}

// act starts the pipelines that watch what was pushed: the one that the commit
// defines, and those that were defined through the API and take their source
// from the repository. That the push has been acted on is recorded with them.
func (a *App) act(ctx context.Context, head head) ([]string, error) {
	if head.Commit == "" {
		return nil, a.see(ctx, head)
	}
	own, watched, lines, err := a.defines(ctx, head)
	if err != nil {
		return nil, err
	}
	watching, err := a.definedElsewhere(ctx, head)
	if err != nil {
		return nil, err
	}
	if own != nil && watched {
		watching = append([]pipeline.Pipeline{*own}, watching...)
	}
	begun, err := a.begin(ctx, watching, own, head)
	if errors.Is(err, store.ErrNameInUse) {
		lines = append(lines, "nothing runs by "+definition.FileName+": "+err.Error())
		watching = slices.DeleteFunc(watching, func(p pipeline.Pipeline) bool { return p.Name == own.Name })
		begun, err = a.begin(ctx, watching, nil, head)
	}
	return append(lines, begun...), err
}

// defines is the pipeline that the commit defines, and whether it watches what
// was pushed, or what the pusher should read instead. A definition counts when
// it watches the push or comes from the default branch: others are somebody's
// work on the way there.
func (a *App) defines(ctx context.Context, head head) (own *pipeline.Pipeline, watched bool, lines []string, err error) {
	text, err := a.repositories.ReadFile(ctx, head.Repository, head.Commit, definition.FileName)
	if errors.Is(err, source.ErrNotFound) {
		return nil, false, []string{fmt.Sprintf("%s has no %s on %s: nothing runs by it", head.Repository, definition.FileName, head.Branch)}, nil
	}
	if err != nil {
		return nil, false, nil, err
	}
	p, err := definition.Parse(text, head.Repository)
	if problems, ok := errors.AsType[definition.Problems](err); ok {
		lines := []string{"nothing runs by " + definition.FileName + ":"}
		for _, problem := range problems {
			lines = append(lines, "  "+problem.String())
		}
		return nil, false, append(lines, "mend it and push again; check first with: towline pipeline validate"), nil
	}
	if err != nil {
		return nil, false, nil, err
	}
	if watched, err = a.watches(ctx, p, head); err != nil || watched {
		return &p, watched, nil, err
	}
	lines = []string{fmt.Sprintf("pipeline %s does not watch this push of %s: it watches %s", p.Name, head, watchedBy(p))}
	main, err := a.repositories.HeadBranch(ctx, head.Repository)
	if err != nil {
		return nil, false, nil, err
	}
	if head.Branch != main {
		return nil, false, lines, nil
	}
	return &p, false, append(lines, "it is defined now, and can be run with: towline run "+p.Name), nil
}

// begin starts executions, and records with them the pipeline that the commit
// defines, which may be nil, and that the push has been acted on.
func (a *App) begin(ctx context.Context, watching []pipeline.Pipeline, own *pipeline.Pipeline, head head) ([]string, error) {
	revision, err := a.repositories.Revision(ctx, head.Repository, head.Commit)
	if err != nil {
		return nil, err
	}
	trigger := pipeline.Trigger{Type: pipeline.TriggerPush, Detail: head.Branch}
	if tag, ok := head.tag(); ok {
		revision.Tag, trigger.Detail = tag, tag
	} else {
		revision.Branch = head.Branch
	}
	var requests []engine.StartRequest
	for _, p := range watching {
		requests = append(requests, engine.StartRequest{Pipeline: p.Name, Revision: revision, Trigger: trigger})
	}
	record := func(ctx context.Context, q store.Querier) error {
		if err := setSeen(ctx, q, head); err != nil || own == nil {
			return err
		}
		return store.PutPipeline(ctx, q, *own, head.Repository, time.Now())
	}
	started, refused, err := a.engine.StartExecutions(ctx, record, requests...)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, x := range started {
		lines = append(lines, fmt.Sprintf("%s #%d started for %s", x.Pipeline, x.Number, revision.Short()), "follow it with: towline logs -f "+x.ID)
	}
	for _, refusal := range refused {
		lines = append(lines, "not started: "+refusal.Error())
	}
	return lines, nil
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
