package app

import (
	"context"
	"strings"
)

// catchUp acts on the branches that moved while nobody was told: before the
// start, or by a push whose hook could not run. Tags are acted on when they are
// pushed and not looked for: a repository may bring thousands of old ones.
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
			if now[branch] == "" && !strings.HasPrefix(branch, tagRef) {
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
