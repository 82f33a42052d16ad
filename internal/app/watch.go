package app

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
)

// watches tells whether a pipeline is to run for what was pushed. The files
// that the push has changed are listed when a filter asks for them only.
func (a *App) watches(ctx context.Context, p pipeline.Pipeline, head head) (bool, error) {
	ref := pipeline.PushedRef{Branch: head.Branch}
	if tag, ok := head.tag(); ok {
		ref = pipeline.PushedRef{Tag: tag}
	}
	if slices.ContainsFunc(p.On.Push, func(f pipeline.PushFilter) bool { return !f.Paths.Empty() }) && ref.Branch != "" {
		changes, err := a.repositories.Changes(ctx, head.Repository, head.seen, head.Commit)
		if err != nil {
			return false, err
		}
		ref.Paths, ref.Cut = changes.Paths, !changes.Complete
	}
	return slices.ContainsFunc(p.On.Push, func(f pipeline.PushFilter) bool { return f.Match(ref) }), nil
}

// watchedBy says what a pipeline watches, for the pusher.
func watchedBy(p pipeline.Pipeline) string {
	var filters []string
	for _, f := range p.On.Push {
		var parts []string
		for _, part := range []struct {
			name  string
			globs *pipeline.Globs
		}{{"branches", f.Branches}, {"tags", f.Tags}, {"files", f.Paths}} {
			if part.globs.Empty() {
				continue
			}
			globs := slices.Clone(part.globs.Includes)
			for _, exclude := range part.globs.Excludes {
				globs = append(globs, "!"+exclude)
			}
			parts = append(parts, part.name+" "+strings.Join(globs, ", "))
		}
		filters = append(filters, strings.Join(parts, " with "))
	}
	if len(filters) == 0 {
		return "no pushes"
	}
	return strings.Join(filters, "; or ")
}

// sourceElsewhere is the repository that a pipeline takes its commits from, if
// that is not this one.
func sourceElsewhere(p pipeline.Pipeline, repository string) (elsewhere string) {
	for _, action := range sourcesOf(p) {
		switch from, _, _ := gitSource(action); from {
		case repository:
			return ""
		case "":
		default:
			elsewhere = from
		}
	}
	return elsewhere
}

// definedElsewhere are the pipelines that this repository does not define, that
// take their source from it and watch what was pushed.
func (a *App) definedElsewhere(ctx context.Context, head head) ([]pipeline.Pipeline, error) {
	all, err := a.store.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	var watching []pipeline.Pipeline
	for _, d := range all {
		if d.Repository == head.Repository {
			continue
		}
		for _, action := range sourcesOf(d.Pipeline) {
			repository, branch, detect := gitSource(action)
			if repository != head.Repository {
				continue
			}
			p := d.Pipeline
			if len(p.On.Push) == 0 && detect {
				p.On.Push = []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{branch}}}}
			}
			watched, err := a.watches(ctx, p, head)
			if err != nil {
				return nil, err
			}
			if watched {
				watching = append(watching, d.Pipeline)
			}
			break
		}
	}
	return watching, nil
}

// gitSource is the repository on this server that a source action takes its
// commits from, the branch, and whether a push there starts its pipeline when
// there are no triggers. A repository of a connection is the mirror of its full
// name with dashes: acme-web of acme/web. It is "" for other sources. The branch
// is "" for the repository's own default.
func gitSource(action pipeline.Action) (repository, branch string, detect bool) {
	var c struct {
		pipeline.Source
		RepositoryName, FullRepositoryID, BranchName string
		DetectChanges, PollForSourceChanges          string
	}
	if json.Unmarshal(action.Configuration, &c) != nil {
		return "", "", false
	}
	branch = cmp.Or(c.BranchName, source.DefaultBranch)
	switch action.Type.Provider {
	case "Git":
		if repository = c.Repository; c.URL != "" {
			repository, branch = source.MirrorName(c.URL), c.Branch
		}
	case "CodeCommit":
		repository = c.RepositoryName
	case "CodeStarSourceConnection":
		repository = strings.ToLower(strings.ReplaceAll(c.FullRepositoryID, "/", "-"))
	}
	return repository, branch, c.DetectChanges != "false" && c.PollForSourceChanges != "false"
}
