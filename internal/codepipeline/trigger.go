package codepipeline

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// provider is the only one that AWS has for triggers.
const provider = "CodeStarSourceConnection"

// triggers reads which changes start an execution. AWS has one element for each
// source action, with the filters of it; here the filters stand by themselves,
// and those of the first source need not say so.
func (r *reader) triggers(raw json.RawMessage, first string) pipeline.On {
	var on pipeline.On
	for i, element := range r.list(raw, memberTriggers) {
		o := r.object(element, fmt.Sprintf("%s[%d]", memberTriggers, i))
		git, ok := o.take("gitConfiguration")
		if !ok {
			continue
		}
		g := r.object(git, o.at("gitConfiguration"))
		source := g.text("sourceActionName")
		if source == first {
			source = ""
		}
		push, pulls := g.list("push"), g.list("pullRequest")
		for j, filter := range push {
			f := r.object(filter, fmt.Sprintf("%s.push[%d]", g.path, j))
			on.Push = append(on.Push, pipeline.PushFilter{
				Source: source, Branches: f.globs("branches"), Tags: f.globs("tags"), Paths: f.globs("filePaths"),
			})
		}
		for j, filter := range pulls {
			f := r.object(filter, fmt.Sprintf("%s.pullRequest[%d]", g.path, j))
			p := pipeline.PullRequestFilter{Source: source, Branches: f.globs("branches"), Paths: f.globs("filePaths")}
			for k, event := range f.list("events") {
				p.Events = append(p.Events, pipeline.PullRequestEvent(r.text(event, fmt.Sprintf("%s.events[%d]", f.path, k))))
			}
			on.PullRequest = append(on.PullRequest, p)
		}
		if len(push)+len(pulls) == 0 {
			on.Push = append(on.Push, pipeline.PushFilter{Source: source})
		}
	}
	return on
}

func (o object) globs(name string) *pipeline.Globs {
	raw, ok := o.take(name)
	if !ok {
		return nil
	}
	inner := o.reader.object(raw, o.at(name))
	var g pipeline.Globs
	if raw, ok := inner.take("includes"); ok {
		g.Includes = o.reader.texts(raw, inner.at("includes"))
	}
	if raw, ok := inner.take("excludes"); ok {
		g.Excludes = o.reader.texts(raw, inner.at("excludes"))
	}
	return &g
}

func writeTriggers(on pipeline.On, first string) []any {
	var sources []string
	note := func(source string) {
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	push, pulls := map[string][]any{}, map[string][]any{}
	for _, f := range on.Push {
		source := orFirst(f.Source, first)
		note(source)
		var out record
		out.add("branches", writeGlobs(f.Branches))
		out.add("tags", writeGlobs(f.Tags))
		out.add("filePaths", writeGlobs(f.Paths))
		push[source] = append(push[source], out)
	}
	for _, f := range on.PullRequest {
		source := orFirst(f.Source, first)
		note(source)
		var out record
		var events []string
		for _, event := range f.Events {
			events = append(events, string(event))
		}
		out.add("events", events)
		out.add("branches", writeGlobs(f.Branches))
		out.add("filePaths", writeGlobs(f.Paths))
		pulls[source] = append(pulls[source], out)
	}
	var triggers []any
	for _, source := range sources {
		git := record{{"sourceActionName", source}}
		if len(pulls[source]) > 0 || len(push[source]) != 1 || !same(push[source][0], record{}) {
			git.add("push", push[source])
		}
		git.add("pullRequest", pulls[source])
		triggers = append(triggers, record{{"providerType", provider}, {"gitConfiguration", git}})
	}
	return triggers
}

func orFirst(source, first string) string {
	if source == "" {
		return first
	}
	return source
}

func writeGlobs(g *pipeline.Globs) record {
	var out record
	if g != nil {
		out.add("includes", g.Includes)
		out.add("excludes", g.Excludes)
	}
	return out
}
