package notify

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/towline/towline/internal/pipeline"
)

// message is a change in words.
type message struct {
	Title string   // one line
	Lines []string // what there is to know beside it
}

// maxLines and maxLine bound what a message quotes of a failure.
const (
	maxLines = 12
	maxLine  = 400
)

var words = map[pipeline.ChangeState]string{
	pipeline.ChangeStarted: "started", pipeline.ChangeResumed: "goes on", pipeline.ChangeStopping: "is stopping",
	pipeline.ChangeSucceeded: "succeeded", pipeline.ChangeFailed: "failed", pipeline.ChangeStopped: "was stopped",
	pipeline.ChangeSuperseded: "was overtaken by a newer one", pipeline.ChangeSkipped: "was skipped", pipeline.ChangeAbandoned: "was abandoned",
}

// messageOf is a change as a person reads it. The link is that of its execution,
// or "".
func messageOf(set pipeline.ChangeSet, c pipeline.Change, link string) message {
	m := message{Title: oneLine(title(set, c))}
	if c.Comment != "" {
		m.Lines = append(m.Lines, quote(c.Comment)...)
	}
	if c.Link != "" {
		m.Lines = append(m.Lines, oneLine(c.Link))
	}
	if c.Summary != "" {
		m.Lines = append(m.Lines, quote(c.Summary)...)
	}
	if r := set.Revision; r.Commit != "" {
		line := strings.TrimSpace(r.Branch + " " + r.Short() + " " + r.Message)
		if r.Author != "" {
			line += " (" + r.Author + ")"
		}
		m.Lines = append(m.Lines, oneLine(line))
	}
	if c.ApprovalNeeded() {
		m.Lines = append(m.Lines, fmt.Sprintf("decide with: towline approve %s %s, or towline reject %s %s", set.Execution, c.Action, set.Execution, c.Action))
	}
	if link != "" {
		m.Lines = append(m.Lines, link)
	}
	return m
}

func title(set pipeline.ChangeSet, c pipeline.Change) string {
	name := fmt.Sprintf("%s #%d", set.Pipeline, set.Number)
	if set.Type == pipeline.ExecutionRollback {
		name += " (rollback)"
	}
	switch {
	case c.ApprovalNeeded():
		return fmt.Sprintf("%s waits for an approval: %s in stage %s", name, c.Action, c.Stage)
	case c.Kind == pipeline.ChangeOfAction && c.Type.Manual() && c.State == pipeline.ChangeSucceeded:
		return fmt.Sprintf("%s: %s in stage %s was approved", name, c.Action, c.Stage)
	case c.Kind == pipeline.ChangeOfAction:
		return fmt.Sprintf("%s: action %s in stage %s %s", name, c.Action, c.Stage, words[c.State])
	case c.Kind == pipeline.ChangeOfStage:
		return fmt.Sprintf("%s: stage %s %s", name, c.Stage, words[c.State])
	case c.State == pipeline.ChangeFailed && c.Action != "":
		return fmt.Sprintf("%s failed: action %s in stage %s", name, c.Action, c.Stage)
	case c.State == pipeline.ChangeFailed && c.Stage != "":
		return fmt.Sprintf("%s failed: stage %s", name, c.Stage)
	}
	return name + " " + words[c.State]
}

// quote is a text of many lines, shortened.
func quote(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = oneLine(line); line == "" {
			continue
		}
		if len(lines) == maxLines {
			return append(lines, "...")
		}
		lines = append(lines, line)
	}
	return lines
}

// oneLine takes out what would end a line or change how the rest is shown, and
// shortens what is left.
func oneLine(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, text))
	if runes := []rune(text); len(runes) > maxLine {
		return string(runes[:maxLine-3]) + "..."
	}
	return text
}
