package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/forge"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/rounds"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

const (
	// messagesEvery is how often it is looked for messages that could not be
	// acted on before; new ones are acted on at once.
	messagesEvery    = 15 * time.Second
	messagesParallel = 4
	// messagesPause is how long a message rests that could not be acted on. It
	// doubles, up to an hour.
	messagesPause = 30 * time.Second
	// messagesLast is how long it is tried.
	messagesLast = 24 * time.Hour
)

// newPullRequests acts on what forges have told of pull requests: for each
// mirror in the order in which it was told, and mirrors beside each other, for
// their remotes are asked.
func (a *App) newPullRequests() *rounds.Rounds {
	return rounds.New(rounds.Config{
		What: "act on pull requests", Every: messagesEvery, Parallel: messagesParallel, Logger: a.options.Logger,
		Due: func(ctx context.Context) ([]string, error) { return a.store.DueHooks(ctx, a.mirrors.now()) },
		Do:  a.readMessages,
	})
}

// readMessages acts on what is due of one mirror. What cannot be acted on now,
// because the remote is away or the disk is full, is tried again for a day.
func (a *App) readMessages(ctx context.Context, mirror string) {
	log := a.options.Logger.With("repository", mirror)
	due, err := a.store.DueMessages(ctx, mirror, a.mirrors.now())
	if err != nil {
		log.Error("read messages of webhook", "error", err)
	}
	for _, m := range due {
		err := a.readMessage(ctx, m)
		switch {
		case ctx.Err() != nil:
			return // The next start goes on with it.
		case err == nil:
			continue
		case hopeless(err) || a.mirrors.now().Sub(m.Taken) > messagesLast:
			log.Error("a pull request starts nothing", "message", m.Key, "error", err)
			err = a.store.Update(ctx, func(q store.Querier) error { return store.RemoveMessage(ctx, q, m) })
		default:
			wait := min(messagesPause<<min(m.Failures, 10), time.Hour)
			log.Warn("act on a pull request, trying again", "message", m.Key, "after", wait, "error", err)
			err = a.store.PostponeMessage(ctx, m, a.mirrors.now().Add(wait))
		}
		if err != nil {
			log.Error("keep what became of a message", "message", m.Key, "error", err)
		}
	}
}

// hopeless tells that trying again would change nothing: the ref is gone from
// the remote, or the mirror from here.
func hopeless(err error) bool {
	return errors.Is(err, source.ErrNoRevision) || errors.Is(err, source.ErrNoRepository) || errors.Is(err, source.ErrInvalid)
}

// readMessage starts the pipelines of a mirror that watch what has happened to a
// pull request, with its head as the revision, and forgets the message in the
// same transaction: it is acted on once, whatever fails. The pipelines are those
// that were pushed last: what a pull request's own towline.yaml says does not
// count, and one out of another repository starts nothing, for its authors may
// have no rights here.
func (a *App) readMessage(ctx context.Context, m store.Message) error {
	var event forge.Event
	if err := json.Unmarshal(m.Text, &event); err != nil || event.PullRequest == nil {
		return &source.Error{Kind: source.ErrInvalid, Message: fmt.Sprintf("the message cannot be read: %v", err)}
	}
	request := event.PullRequest
	log := a.options.Logger.With("repository", m.Hook, "pull_request", request.Number, "event", string(request.Event))
	watching, err := a.watchingPullRequest(ctx, m.Hook, request)
	if err != nil {
		return err
	}
	if request.Fork && len(watching) > 0 {
		log.Info("a pull request out of another repository starts nothing")
		watching = nil
	}
	var starts []engine.StartRequest
	if len(watching) > 0 {
		if starts, err = a.startsFor(ctx, m.Hook, request, watching); err != nil {
			return err
		}
	}
	forget := func(ctx context.Context, q store.Querier) error { return store.RemoveMessage(ctx, q, m) }
	_, refused, err := a.engine.StartExecutions(ctx, forget, starts...)
	for _, refusal := range refused {
		log.Warn("not started for a pull request", "error", refusal)
	}
	return err
}

// watcher is a pipeline and those of its filters of pull requests that what
// happened passes, whatever files have changed.
type watcher struct {
	pipeline string
	filters  []pipeline.PullRequestFilter
}

// watchingPullRequest lists the pipelines that take their source from a mirror
// and watch pull requests like this one: those that it defines, and those that
// were defined through the API.
func (a *App) watchingPullRequest(ctx context.Context, mirror string, request *forge.PullRequest) ([]watcher, error) {
	definitions, err := a.store.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	// As if files had changed that every filter lets through.
	changed := pipeline.ChangedPullRequest{Event: request.Event, Branch: request.Target, Cut: true}
	var watching []watcher
	for _, d := range definitions {
		w := watcher{pipeline: d.Pipeline.Name}
		for _, f := range d.Pipeline.On.PullRequest {
			if f.Match(changed) && takesFrom(d, f.Source, mirror) {
				w.filters = append(w.filters, f)
			}
		}
		if len(w.filters) > 0 {
			watching = append(watching, w)
		}
	}
	return watching, nil
}

// takesFrom tells whether a trigger of a pipeline is about a repository: that
// of its source action, the named one or any, or that which defines it.
func takesFrom(d store.Definition, action, repository string) bool {
	if d.Repository == repository {
		return sourceElsewhere(d.Pipeline, repository) == ""
	}
	return slices.ContainsFunc(sourcesOf(d.Pipeline), func(s pipeline.Action) bool {
		from, _, _ := gitSource(s)
		return from == repository && (action == "" || action == s.Name)
	})
}

// startsFor asks for the executions of those that watch a pull request. Its head
// is fetched, and the files that it changes are listed when a filter asks for
// them.
func (a *App) startsFor(ctx context.Context, mirror string, request *forge.PullRequest, watching []watcher) ([]engine.StartRequest, error) {
	scheduled, err := a.mirrors.LoadMirror(ctx, mirror)
	if errors.Is(err, store.ErrNotFound) {
		err = &source.Error{Kind: source.ErrNoRepository, Message: "the mirror was removed"}
	}
	if err != nil {
		return nil, err
	}
	ref := request.Ref
	if ref == "" {
		ref = "refs/heads/" + request.Source
	}
	commit, err := a.repositories.FetchRef(ctx, scheduled.Mirror, ref)
	if err != nil {
		return nil, err
	}
	revision, err := a.repositories.Revision(ctx, mirror, commit)
	if err != nil {
		return nil, err
	}
	revision.Branch = request.Source
	changed := pipeline.ChangedPullRequest{Event: request.Event, Branch: request.Target}
	if slices.ContainsFunc(watching, watcher.asksForFiles) {
		changes, err := a.proposed(ctx, mirror, request.Target, commit)
		if err != nil {
			return nil, err
		}
		changed.Paths, changed.Cut = changes.Paths, !changes.Complete
	}
	trigger := pipeline.Trigger{Type: pipeline.TriggerWebhook, Detail: fmt.Sprintf("pull request %d: %s", request.Number, request.Event), Source: requested(request)}
	var starts []engine.StartRequest
	for _, w := range watching {
		if slices.ContainsFunc(w.filters, func(f pipeline.PullRequestFilter) bool { return f.Match(changed) }) {
			starts = append(starts, engine.StartRequest{Pipeline: w.pipeline, Revision: revision, Trigger: trigger})
		}
	}
	return starts, nil
}

// requested is what builds are told of a pull request.
func requested(request *forge.PullRequest) *pipeline.SourceChange {
	change := pipeline.SourceChange{
		Event: pipeline.ChangeOpened, Head: "refs/heads/" + request.Source, Base: "refs/heads/" + request.Target, Request: request.Number, Previous: request.Before,
		Actor: request.Actor, Merge: request.Merge,
	}
	switch {
	case request.Event == pipeline.PullRequestUpdated:
		change.Event = pipeline.ChangeUpdated
	case request.Event == pipeline.PullRequestClosed && request.Merged:
		change.Event = pipeline.ChangeMerged
	case request.Event == pipeline.PullRequestClosed:
		change.Event = pipeline.ChangeClosed
	}
	return &change
}

func (w watcher) asksForFiles() bool {
	return slices.ContainsFunc(w.filters, func(f pipeline.PullRequestFilter) bool { return !f.Paths.Empty() })
}

// proposed is what a commit changes that is to be merged into a branch. What the
// branch has gone on to meanwhile is not its change.
func (a *App) proposed(ctx context.Context, repository, branch, commit string) (source.Changes, error) {
	target, err := a.repositories.Revision(ctx, repository, "refs/heads/"+branch)
	if err != nil && !errors.Is(err, source.ErrNoRevision) {
		return source.Changes{}, err
	}
	base := ""
	if target.Commit != "" {
		if base, err = a.repositories.MergeBase(ctx, repository, target.Commit, commit); err != nil {
			return source.Changes{}, err
		}
	}
	return a.repositories.Changes(ctx, repository, base, commit)
}
