package pipeline

import (
	"regexp"
	"slices"
)

// PushedRef is a push of one branch or tag, as filters see it.
type PushedRef struct {
	Branch, Tag string // one of the two
	// Paths are the files that the push has changed. They are looked at only
	// when a filter has Paths, so they need not be listed for others.
	Paths []string
	// Cut says that there are more than Paths. A filter then lets the push
	// through: to run once too often is better than to miss a change.
	Cut bool
}

// ChangedPullRequest is what happened to a pull request, as filters see it.
type ChangedPullRequest struct {
	Event  PullRequestEvent
	Branch string   // that it is to be merged into
	Paths  []string // as of a PushedRef
	Cut    bool
}

// Match says whether the filter lets the push through: all that it has must.
// Branches and tags are never meant together: a filter with Tags alone lets no
// branch through, and one without Tags no tag.
func (f PushFilter) Match(p PushedRef) bool {
	if p.Tag != "" {
		// No files belong to a tag: CodePipeline combines them with branches
		// alone.
		return !f.Tags.Empty() && f.Tags.Match(p.Tag)
	}
	if f.Branches.Empty() && f.Paths.Empty() && !f.Tags.Empty() {
		return false
	}
	return f.Branches.Match(p.Branch) && f.Paths.matchAny(p.Paths, p.Cut)
}

// Match says whether the filter lets what happened through: all that it has
// must.
func (f PullRequestFilter) Match(c ChangedPullRequest) bool {
	if len(f.Events) > 0 && !slices.Contains(f.Events, c.Event) {
		return false
	}
	return f.Branches.Match(c.Branch) && f.Paths.matchAny(c.Paths, c.Cut)
}

// Match says whether the globs let the name through. Excludes win: what both
// lists match is out, also when Includes names it more closely. A pattern that
// CheckGlob refuses matches nothing.
func (g *Globs) Match(name string) bool { return g.compile().match(name) }

// matchAny says whether one of the names is let through, or may be.
func (g *Globs) matchAny(names []string, cut bool) bool {
	if g.Empty() || cut {
		return true
	}
	return slices.ContainsFunc(names, g.compile().match)
}

type compiledGlobs struct {
	all                bool // there are no includes
	includes, excludes []*regexp.Regexp
}

func (g *Globs) compile() compiledGlobs {
	if g == nil {
		return compiledGlobs{all: true}
	}
	return compiledGlobs{all: len(g.Includes) == 0, includes: compileAll(g.Includes), excludes: compileAll(g.Excludes)}
}

func compileAll(patterns []string) []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, p := range patterns {
		if re, err := compileGlob(p); err == nil {
			all = append(all, re)
		}
	}
	return all
}

func (c compiledGlobs) match(name string) bool {
	matches := func(re *regexp.Regexp) bool { return re.MatchString(name) }
	if slices.ContainsFunc(c.excludes, matches) {
		return false
	}
	return c.all || slices.ContainsFunc(c.includes, matches)
}
