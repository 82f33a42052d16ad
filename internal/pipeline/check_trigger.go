package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The limits of triggers.
const (
	mostTriggers = 50
	mostPatterns = 8
	mostPattern  = 255 // characters
	cronFields   = 5
)

func (c *checker) triggers() {
	on := c.pipeline.On
	for i, f := range on.Push {
		at := fmt.Sprintf("on.push[%d]", i)
		c.trigger(at, i, f.Source)
		c.globs(at+".branches", f.Branches)
		c.globs(at+".tags", f.Tags)
		c.globs(at+".filePaths", f.Paths)
	}
	for i, f := range on.PullRequest {
		at := fmt.Sprintf("on.pullRequest[%d]", i)
		c.trigger(at, i, f.Source)
		for j, event := range f.Events {
			if !slices.Contains([]PullRequestEvent{PullRequestOpen, PullRequestUpdated, PullRequestClosed}, event) {
				c.wrong(fmt.Sprintf("%s.events[%d]", at, j), InvalidValue, "choose OPEN, UPDATED or CLOSED", "unknown event %s of a pull request", quote(string(event)))
			}
		}
		c.globs(at+".branches", f.Branches)
		c.globs(at+".filePaths", f.Paths)
	}
	for i, s := range on.Schedule {
		at := fmt.Sprintf("on.schedule[%d]", i)
		c.trigger(at, i, "")
		if n := len(strings.Fields(s.Cron)); n != cronFields {
			c.wrong(at+".cron", "", "write minute, hour, day, month and weekday, such as 30 6 * * 1-5", "%s has %s, not %d", quote(s.Cron), count(n, "field"), cronFields)
		}
	}
}

// trigger checks the place of one filter or schedule, and the source that it is
// about.
func (c *checker) trigger(at string, index int, source string) {
	if index == mostTriggers {
		c.wrong(at, InvalidValue, "remove some", "this is the %s; a pipeline has at most %d of each kind of trigger", ordinal(index+1), mostTriggers)
	}
	if source == "" || len(c.pipeline.Stages) == 0 {
		return
	}
	var names []string
	for _, a := range c.pipeline.Stages[0].Actions {
		names = append(names, a.Name)
	}
	if !slices.Contains(names, source) {
		c.wrong(at+".source", InvalidStructure, "the source actions are "+listed(names), "there is no source action %s", quote(source))
	}
}

func (c *checker) globs(at string, g *Globs) {
	if g == nil {
		return
	}
	for _, side := range []struct {
		name     string
		patterns []string
	}{{"includes", g.Includes}, {"excludes", g.Excludes}} {
		for i, pattern := range side.patterns {
			here := fmt.Sprintf("%s.%s[%d]", at, side.name, i)
			if i == mostPatterns {
				c.wrong(here, InvalidValue, "join some of them, such as release-* for release-1 and release-2", "pattern %s is the %s; a filter has at most %d", quote(pattern), ordinal(i+1), mostPatterns)
			}
			if n := utf8.RuneCountInString(pattern); n == 0 || n > mostPattern {
				c.wrong(here, InvalidValue, fmt.Sprintf("use 1 to %d", mostPattern), "the pattern has %s", count(n, "character"))
			}
		}
	}
}
