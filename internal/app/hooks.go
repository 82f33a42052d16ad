package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/forge"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// hooks answers the webhooks of the mirrors' forges.
func (a *App) hooks() http.Handler {
	return forge.Receiver{Hooks: a.mirrors, Deliveries: a.store, Take: a.takeHook, Logger: a.options.Logger}
}

// takeHook acts on what a forge has told. A push makes the mirror due: the look
// at it finds what has moved, so that a message which is lost or forged changes
// nothing but the time of the look.
func (a *App) takeHook(ctx context.Context, name string, event forge.Event) error {
	if event.Type == forge.PushEvent {
		if err := a.store.HastenMirror(ctx, name, time.Now()); err != nil {
			return err
		}
		a.mirrors.poller.Wake()
		return nil
	}
	return a.pullRequested(ctx, name, event)
}

// pullRequested starts the pipelines of a mirror that watch what has happened
// to a pull request, with its head as the revision. They are those that were
// pushed last: what a pull request's own towline.yaml says does not count, and
// one out of another repository starts nothing, for its authors may have no
// rights here.
func (a *App) pullRequested(ctx context.Context, name string, event forge.Event) error {
	request := event.PullRequest
	log := a.options.Logger.With("repository", name, "pull_request", request.Number, "event", string(request.Event))
	definitions, err := a.store.Pipelines(ctx)
	if err != nil {
		return err
	}
	for _, d := range definitions {
		if d.Repository != name || len(d.Pipeline.On.PullRequest) == 0 {
			continue
		}
		if request.Fork {
			log.Info("a pull request out of another repository starts nothing", "pipeline", d.Pipeline.Name)
			continue
		}
		if err := a.runPullRequest(ctx, d, request); err != nil {
			return fmt.Errorf("pipeline %s: %w", d.Pipeline.Name, err)
		}
	}
	return nil
}

// runPullRequest starts one pipeline for a pull request, if it watches it.
func (a *App) runPullRequest(ctx context.Context, d store.Definition, request *forge.PullRequest) error {
	scheduled, err := a.mirrors.LoadMirror(ctx, d.Repository)
	if err != nil {
		return err
	}
	ref := request.Ref
	if ref == "" {
		ref = "refs/heads/" + request.Source
	}
	commit, err := a.repositories.FetchRef(ctx, scheduled.Mirror, ref)
	if err != nil {
		return err
	}
	changed := pipeline.ChangedPullRequest{Event: request.Event, Branch: request.Target}
	if slices.ContainsFunc(d.Pipeline.On.PullRequest, func(f pipeline.PullRequestFilter) bool { return !f.Paths.Empty() }) {
		changes, err := a.proposed(ctx, d.Repository, request.Target, commit)
		if err != nil {
			return err
		}
		changed.Paths, changed.Cut = changes.Paths, !changes.Complete
	}
	if !slices.ContainsFunc(d.Pipeline.On.PullRequest, func(f pipeline.PullRequestFilter) bool { return f.Match(changed) }) {
		return nil
	}
	revision, err := a.repositories.Revision(ctx, d.Repository, commit)
	if err != nil {
		return err
	}
	revision.Branch = request.Source
	_, err = a.engine.StartExecution(ctx, engine.StartRequest{
		Pipeline: d.Pipeline.Name, Revision: revision,
		Trigger: pipeline.Trigger{Type: pipeline.TriggerWebhook, Detail: fmt.Sprintf("pull request %d: %s", request.Number, request.Event)},
	})
	return err
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
