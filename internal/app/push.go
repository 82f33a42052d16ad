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
	var branches, tags []string
	for _, update := range push.Updates {
		if branch, ok := update.Branch(); ok {
			branches = append(branches, branch)
		}
		if tag, ok := update.Tag(); ok {
			tags = append(tags, tagRef+tag)
		}
	}
	var lines []string
	for _, ref := range append(branches, tags...) { // A tag runs what a branch has defined.
		lines = append(lines, a.moved(ctx, push.Repository, ref)...)
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

// act starts the pipelines that watch what was pushed: the one that the
// repository defines, and those that were defined through the API and take their
// source from the repository. That the push has been acted on is recorded with
// them.
func (a *App) act(ctx context.Context, head head) ([]string, error) {
	if head.Commit == "" {
		return nil, a.see(ctx, head)
	}
	own, err := a.own(ctx, head)
	if err != nil {
		return nil, err
	}
	watching, err := a.definedElsewhere(ctx, head)
	if err != nil {
		return nil, err
	}
	if own.watches {
		watching = append([]pipeline.Pipeline{own.pipeline}, watching...)
	}
	begun, err := a.begin(ctx, watching, own, head)
	if errors.Is(err, store.ErrNameInUse) {
		own.lines = append(own.lines, "nothing runs by "+definition.FileName+": "+err.Error())
		watching = slices.DeleteFunc(watching, func(p pipeline.Pipeline) bool { return p.Name == own.pipeline.Name })
		begun, err = a.begin(ctx, watching, ownPipeline{}, head)
	}
	a.sourceMirrors.rounds.Wake() // for what the pipeline takes its source from
	return append(own.lines, begun...), err
}

// ownPipeline is the pipeline of the repository that was pushed to.
type ownPipeline struct {
	pipeline pipeline.Pipeline
	watches  bool     // what was pushed, so that it is to be started
	defines  bool     // the push defines it
	lines    []string // for the pusher to read, when nothing starts
}

// own reads the towline.yaml of the commit. It defines the pipeline when it
// comes from a branch that it watches, or from the default branch: those of
// others are somebody's work on the way there. A tag defines nothing, for it may
// be of an old commit, or moved to one: it runs the pipeline as it is defined by
// then.
func (a *App) own(ctx context.Context, head head) (own ownPipeline, err error) {
	if mirror, err := a.store.Mirror(ctx, head.Repository); err == nil && mirror.SourceOnly {
		return own, nil // What strangers write there is not obeyed.
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return own, err
	}
	text, err := a.repositories.ReadFile(ctx, head.Repository, head.Commit, definition.FileName)
	if errors.Is(err, source.ErrNotFound) {
		own.lines = []string{fmt.Sprintf("%s has no %s on %s: nothing runs by it", head.Repository, definition.FileName, head.Branch)}
		return own, nil
	}
	if err != nil {
		return own, err
	}
	own.pipeline, err = definition.Parse(text, head.Repository)
	if problems, ok := errors.AsType[definition.Problems](err); ok {
		own.lines = []string{"nothing runs by " + definition.FileName + ":"}
		for _, problem := range problems {
			own.lines = append(own.lines, "  "+problem.String())
		}
		own.lines = append(own.lines, "mend it and push again; check first with: towline pipeline validate")
		return own, nil
	}
	if err != nil {
		return own, err
	}
	if _, tag := head.tag(); tag {
		return a.ownDefined(ctx, head, own)
	}
	if own.watches, err = a.watches(ctx, own.pipeline, head); err != nil {
		return own, err
	}
	elsewhere := sourceElsewhere(own.pipeline, head.Repository)
	if own.watches && elsewhere == "" {
		own.defines = true
		return own, nil
	}
	main, err := a.repositories.HeadBranch(ctx, head.Repository)
	if err != nil {
		return own, err
	}
	if own.watches = false; elsewhere != "" {
		own.lines = []string{fmt.Sprintf("pipeline %s takes its source from %s: a push there starts it", own.pipeline.Name, elsewhere)}
	} else {
		own.lines = []string{doesNotWatch(own.pipeline, head)}
	}
	if own.defines = head.Branch == main; own.defines {
		own.lines = append(own.lines, "it is defined now, and can be run with: towline run "+own.pipeline.Name)
	}
	return own, nil
}

// ownDefined is the pipeline that a tag's commit names, as a branch has defined
// it.
func (a *App) ownDefined(ctx context.Context, head head, own ownPipeline) (ownPipeline, error) {
	name := own.pipeline.Name
	d, err := a.store.Pipeline(ctx, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && d.Repository != head.Repository {
		own.lines = []string{fmt.Sprintf("nothing runs by %s of %s: no branch of %s has defined the pipeline %s: push one with it first", definition.FileName, head, head.Repository, name)}
		return own, nil
	}
	if err != nil {
		return own, err
	}
	own.pipeline = d.Pipeline
	if elsewhere := sourceElsewhere(own.pipeline, head.Repository); elsewhere != "" {
		return own, nil
	}
	if own.watches, err = a.watches(ctx, own.pipeline, head); err == nil && !own.watches {
		own.lines = []string{doesNotWatch(own.pipeline, head)}
	}
	return own, err
}

func doesNotWatch(p pipeline.Pipeline, head head) string {
	return fmt.Sprintf("pipeline %s does not watch this push of %s: it watches %s", p.Name, head, watchedBy(p))
}

// begin starts executions, and records with them the pipeline that the commit
// defines, if it does, and that the push has been acted on.
func (a *App) begin(ctx context.Context, watching []pipeline.Pipeline, own ownPipeline, head head) ([]string, error) {
	revision, err := a.repositories.Revision(ctx, head.Repository, head.Commit)
	if err != nil {
		return nil, err
	}
	change := pipeline.SourceChange{Event: pipeline.ChangePush, Head: head.Branch, Previous: head.seen}
	trigger := pipeline.Trigger{Type: pipeline.TriggerPush, Detail: head.Branch, Source: &change}
	if tag, ok := head.tag(); ok {
		revision.Tag, trigger.Detail = tag, tag
	} else {
		revision.Branch, change.Head = head.Branch, "refs/heads/"+head.Branch
	}
	change.Actor = a.mirrors.pushers.of(head.Repository, change.Head, head.Commit)
	var requests []engine.StartRequest
	for _, p := range watching {
		requests = append(requests, engine.StartRequest{Pipeline: p.Name, Revision: revision, Trigger: trigger})
	}
	record := func(ctx context.Context, q store.Querier) error {
		if err := setSeen(ctx, q, head); err != nil || !own.defines {
			return err
		}
		return store.PutPipeline(ctx, q, own.pipeline, head.Repository, time.Now())
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
