package app

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// tagsKnown is the head that a repository has once its tags are known: those
// that were there before are old, and start nothing. A repository may bring
// thousands of them.
const tagsKnown = tagRef

// catchUp acts on the branches and tags that moved while nobody was told: before
// the start, or by a push whose hook could not run.
func (a *App) catchUp(ctx context.Context) error {
	names, err := a.repositories.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := a.catchUpOn(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) catchUpOn(ctx context.Context, repository string) error {
	now, err := a.repositories.Heads(ctx, repository)
	if err != nil {
		return err
	}
	tags, err := a.repositories.Tags(ctx, repository)
	if err != nil {
		return err
	}
	seen, err := a.knowTags(ctx, repository, tags)
	if err != nil {
		return err
	}
	for tag, commit := range tags {
		now[tagRef+tag] = commit
	}
	for ref := range seen {
		if now[ref] == "" && ref != tagsKnown {
			now[ref] = "" // deleted: its seen head is to be forgotten
		}
	}
	for _, ref := range branchesFirst(now) {
		if seen[ref] != now[ref] {
			a.missed(ctx, repository, ref)
		}
	}
	return nil
}

// branchesFirst sorts so that what a branch defines is there for its tags.
func branchesFirst(heads map[string]string) []string {
	rank := func(ref string) int {
		if strings.HasPrefix(ref, tagRef) {
			return 1
		}
		return 0
	}
	return slices.SortedFunc(maps.Keys(heads), func(x, y string) int {
		return cmp.Or(rank(x)-rank(y), cmp.Compare(x, y))
	})
}

// knowTags records the tags of a repository that is looked at for the first
// time as acted on, and returns all heads that have been seen.
func (a *App) knowTags(ctx context.Context, repository string, tags map[string]string) (seen map[string]string, err error) {
	seen, err = a.store.Heads(ctx, repository)
	if err != nil || seen[tagsKnown] != "" {
		return seen, err
	}
	old := map[string]string{tagsKnown: "known"}
	for tag, commit := range tags {
		old[tagRef+tag] = commit
	}
	err = a.store.Update(ctx, func(q store.Querier) error {
		for ref, commit := range old {
			if err := store.SetHead(ctx, q, store.Head{Repository: repository, Branch: ref, Commit: commit}); err != nil {
				return err
			}
		}
		return nil
	})
	maps.Copy(seen, old)
	return seen, err
}

func (a *App) missed(ctx context.Context, repository, branch string) {
	for _, line := range a.moved(ctx, repository, branch) {
		a.options.Logger.Info("push that nobody told of", "repository", repository, "branch", branch, "outcome", line)
	}
}

// movedElsewhere acts on what a look at a mirror's remote has found. The first
// one finds all tags, and they are old.
func (a *App) movedElsewhere(ctx context.Context, push source.Push) {
	log := a.options.Logger.With("repository", push.Repository)
	seen, err := a.store.Heads(ctx, push.Repository)
	if err == nil && seen[tagsKnown] == "" {
		var tags map[string]string
		if tags, err = a.repositories.Tags(ctx, push.Repository); err == nil {
			_, err = a.knowTags(ctx, push.Repository, tags)
		}
		push.Updates = slices.DeleteFunc(slices.Clone(push.Updates), func(u source.Update) bool { _, tag := u.Tag(); return tag })
	}
	if err != nil {
		log.Error("read the tags of a mirror; it is tried again every minute", "error", err)
	}
	for _, line := range slices.Compact(a.pushed(ctx, push)) {
		log.Info("push to a mirror's remote", "outcome", line)
	}
}
