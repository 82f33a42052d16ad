package app

import (
	"context"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
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
