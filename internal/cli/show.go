package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// marks is how statuses look.
var marks = map[pipeline.Status]string{
	pipeline.StatusPending:    "○",
	pipeline.StatusInProgress: "●",
	pipeline.StatusSucceeded:  "✓",
	pipeline.StatusFailed:     "✗",
	pipeline.StatusAbandoned:  "⊘",
}

// showExecution draws an execution as it is at the instant now: a headline, a
// line per action, and the verdict. Lines are cut to width unless it is 0.
func showExecution(e client.Execution, now time.Time, width int) []string {
	lines := []string{headline(e, now)}
	stages, actions := 0, 0
	for _, s := range e.Stages {
		stages = max(stages, utf8.RuneCountInString(s.Name))
		for _, a := range s.Actions {
			actions = max(actions, utf8.RuneCountInString(a.Name))
		}
	}
	for _, s := range e.Stages {
		for _, condition := range s.Conditions {
			lines = append(lines, showCondition(e, s, condition)...)
		}
		for _, a := range s.Actions {
			line := fmt.Sprintf(" %s %-*s  %-*s  %6s  %s", marks[a.Status], stages, s.Name, actions, a.Name, seconds(a, now), remark(e, s, a))
			lines = append(lines, strings.TrimRight(line, " "))
		}
	}
	if e.Hold != nil && e.Hold.Action == "" {
		lines = append(lines, "   "+printable(e.Hold.Sentence)) // Those of actions stand beside them.
	}
	if d := deployment(e); d != nil && d.Verdict != nil {
		lines = append(lines, fmt.Sprintf(" verdict  %s · rollback: towline rollback %s", d.Verdict, d.App))
	}
	if width > 0 {
		for i := range lines {
			lines[i] = shorten(lines[i], width-1)
		}
	}
	return lines
}

// showCondition is a line for each rule that was asked about a stage.
func showCondition(e client.Execution, s pipeline.StageState, c pipeline.ConditionState) []string {
	when := map[pipeline.ConditionKind]string{pipeline.BeforeEntry: "before entry", pipeline.OnSuccess: "on success", pipeline.OnFailure: "on failure"}
	var lines []string
	for _, rule := range c.Rules {
		line := fmt.Sprintf(" %s %s  %s: %s  %s", marks[rule.Status], s.Name, when[c.Kind], rule.Name, remark(e, s, rule))
		lines = append(lines, strings.TrimRight(line, " "))
	}
	switch {
	case c.Status == pipeline.StatusOverridden:
		lines = append(lines, fmt.Sprintf("   %s  %s: overridden by %s", s.Name, when[c.Kind], printable(c.By)))
	case c.Status == pipeline.StatusFailed && s.Status == pipeline.StatusFailed && c.Kind != pipeline.OnFailure:
		lines = append(lines, fmt.Sprintf("   %s  %s: not met; set it aside with: towline override %s %s", s.Name, when[c.Kind], e.ID, s.Name))
	}
	return lines
}

func headline(e client.Execution, now time.Time) string {
	end := e.Ended
	if end.IsZero() {
		end = now
	}
	return fmt.Sprintf("%s  #%d  %s %s %q  %s  %s", e.Pipeline, e.Number, e.Revision.Branch, e.Revision.Short(),
		shorten(e.Revision.Message, 50), e.Status, clock(end.Sub(e.Started)))
}

// remark is what there is to say of an action in the space of a line.
func remark(e client.Execution, s pipeline.StageState, a pipeline.ActionState) string {
	switch {
	case a.Result == nil && a.Type.Manual() && a.Status == pipeline.StatusInProgress:
		return fmt.Sprintf("waits for you: towline approve %s, or towline reject %s", e.ID, e.ID)
	case a.Result == nil && a.Waits != "":
		return "waits for " + printable(a.Waits)
	case a.Result == nil:
		return printable(e.Progress[s.Name+"/"+a.Name])
	case a.Result.Outcome == pipeline.Succeeded:
		return printable(a.Result.Summary)
	}
	message, _, _ := strings.Cut(a.Result.Message, "\n")
	return fmt.Sprintf("%s: %s", a.Result.Outcome, printable(message))
}

func seconds(a pipeline.ActionState, now time.Time) string {
	if a.Started.IsZero() {
		return ""
	}
	return fmt.Sprintf("%.1fs", a.Duration(now).Seconds())
}

func clock(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// failures are the messages of what went wrong, whole.
func failures(e client.Execution) []string {
	var lines []string
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Result == nil || a.Result.Outcome == pipeline.Succeeded {
				continue
			}
			lines = append(lines, fmt.Sprintf("%s/%s %s:", s.Name, a.Name, strings.ToLower(string(a.Result.Outcome))))
			for line := range strings.Lines(strings.TrimRight(a.Result.Message, "\n")) {
				lines = append(lines, "  "+printable(strings.TrimRight(line, "\r\n")))
			}
		}
	}
	return lines
}

// deployment is the last deployment of an execution, or nil.
func deployment(e client.Execution) *pipeline.Deployment {
	var last *pipeline.Deployment
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Result != nil && a.Result.Deployment != nil {
				last = a.Result.Deployment
			}
		}
	}
	return last
}

// shorten cuts text to so many runes, the last of which then is an ellipsis.
func shorten(text string, runes int) string {
	if utf8.RuneCountInString(text) <= runes {
		return text
	}
	return string([]rune(text)[:max(runes-1, 0)]) + "…"
}

// printable replaces control characters, which a build may print, by their
// pictures, so that its output cannot steer the terminal. Tabs stay, and
// colours go with their escape.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r < 0x20:
			return '\u2400' + r
		case r == 0x7f || (r >= 0x80 && r < 0xa0):
			return '\ufffd'
		}
		return r
	}, text)
}
