package definition

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/timetable"
)

// defaultOn is what starts executions when the file does not say: a push to the
// branch that a source follows, or to main.
func defaultOn(stages []pipeline.Stage) pipeline.On {
	branch := "main"
	for _, s := range stages {
		for _, a := range s.Actions {
			var followed pipeline.Source
			if a.Type == towline(pipeline.CategorySource, "Git") && json.Unmarshal(a.Configuration, &followed) == nil && followed.Branch != "" {
				branch = strings.ReplaceAll(followed.Branch, "{", `\{`) // the one sign of patterns that git allows
			}
		}
	}
	return pipeline.On{Push: []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{branch}}}}}
}

func (c *compiler) on(o *on, stages []pipeline.Stage) pipeline.On {
	if o == nil {
		return defaultOn(stages)
	}
	var out pipeline.On
	for i, f := range o.Push {
		at := fmt.Sprintf("on.push[%d]", i)
		out.Push = append(out.Push, pipeline.PushFilter{
			Source: f.Source, Branches: c.globs(at+".branches", f.Branches), Tags: c.globs(at+".tags", f.Tags), Paths: c.globs(at+".paths", f.Paths),
		})
	}
	for i, f := range o.PullRequest {
		at := fmt.Sprintf("on.pullRequest[%d]", i)
		filter := pipeline.PullRequestFilter{Source: f.Source, Branches: c.globs(at+".branches", f.Branches), Paths: c.globs(at+".paths", f.Paths)}
		for j, event := range f.Events {
			filter.Events = append(filter.Events, pick(c, fmt.Sprintf("%s.events[%d]", at, j), event, events))
		}
		out.PullRequest = append(out.PullRequest, filter)
	}
	for i, s := range o.Schedule {
		at := fmt.Sprintf("on.schedule[%d]", i)
		c.times(at, s.TimeZone, func() error { _, err := timetable.ParseSchedule(s.Cron, s.TimeZone); return err })
		out.Schedule = append(out.Schedule, pipeline.Schedule{Cron: s.Cron, TimeZone: s.TimeZone})
	}
	return out
}

var events = []meaning[pipeline.PullRequestEvent]{
	{"open", pipeline.PullRequestOpen}, {"updated", pipeline.PullRequestUpdated}, {"closed", pipeline.PullRequestClosed},
}

// times checks a cron expression and its time zone.
func (c *compiler) times(at, zone string, parse func() error) {
	if _, err := timetable.Zone(zone); err != nil {
		c.problem(at+".timeZone", "", "%v", err)
	} else if err := parse(); err != nil {
		c.problem(at+".cron", "", "the times cannot be read: %v", err)
	}
}

// globs takes the patterns apart that let names through and those that keep
// them out, which begin with an exclamation mark. A name that really begins
// with one is written with a backslash before it.
func (c *compiler) globs(at string, patterns []string) *pipeline.Globs {
	if patterns == nil {
		return nil
	}
	if len(patterns) == 0 {
		c.problem(at, "leave it out, or name something", "the list is empty")
	}
	out := &pipeline.Globs{}
	for i, pattern := range patterns {
		excluded, not := strings.CutPrefix(pattern, "!")
		glob := unescape(excluded)
		if err := pipeline.CheckGlob(glob); err != nil {
			c.problem(fmt.Sprintf("%s[%d]", at, i), "", "%v", err)
		}
		if not {
			out.Excludes = append(out.Excludes, glob)
		} else {
			out.Includes = append(out.Includes, glob)
		}
	}
	return out
}

// unescape takes one backslash of those before an exclamation mark away, and
// escape puts it there.
func unescape(pattern string) string {
	if strings.HasPrefix(pattern, `\`) && strings.HasPrefix(strings.TrimLeft(pattern, `\`), "!") {
		return pattern[1:]
	}
	return pattern
}

func escape(glob string) string {
	if strings.HasPrefix(strings.TrimLeft(glob, `\`), "!") {
		return `\` + glob
	}
	return glob
}
