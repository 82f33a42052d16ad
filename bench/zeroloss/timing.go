package main

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// runbook takes the log of a deployment and notes when each line came.
type runbook struct {
	now  func() time.Time
	heed func(line string) // hears each line as it comes; may be nil

	mu    sync.Mutex
	lines []stamped
	rest  []byte
}

type stamped struct {
	at   time.Time
	text string
}

// Write takes a part of the log.
func (b *runbook) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest = append(b.rest, text...)
	for {
		line, rest, ok := bytes.Cut(b.rest, []byte("\n"))
		if !ok {
			return len(text), nil
		}
		b.rest = rest
		b.lines = append(b.lines, stamped{b.now(), string(line)})
		if b.heed != nil {
			b.heed(string(line))
		}
	}
}

func (b *runbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	for _, line := range b.lines {
		text.WriteString(line.text + "\n")
	}
	return text.String()
}

var stepDone = regexp.MustCompile(`^step \d+ of \d+ +(\S+) ?(.*): done in (\S+)$`)

// waiting are the steps that wait for the cluster, the application or a time
// that was asked for: what they take is not the deployer's own.
var waiting = map[string]bool{"wait": true, "serve": true, "analyse": true, "keep": true, "drain": true, "rehearse": true, "run": true, "check": true, "approve": true}

// phases are the times of one deployment, by its runbook.
type phases struct {
	waited   time.Duration // for others, and of the prober's own windows
	switched time.Time     // when the last write that moves requests was begun
}

// times reads the phases out of the runbook.
func (b *runbook) times() phases {
	b.mu.Lock()
	defer b.mu.Unlock()
	var p phases
	var last time.Time
	for _, line := range b.lines {
		found := stepDone.FindStringSubmatch(line.text)
		switch {
		case found != nil:
			took, err := time.ParseDuration(found[3])
			if err != nil {
				break
			}
			if waiting[found[1]] {
				p.waited += took
			}
			if found[1] == "switch" {
				p.switched = line.at.Add(-took)
			}
		// The prober counts for a while before the first change and after the
		// last one.
		case strings.HasPrefix(line.text, "verdict "), strings.HasPrefix(line.text, "probe ") && strings.Contains(line.text, "before the first change"):
			p.waited += line.at.Sub(last)
		}
		last = line.at
	}
	return p
}

// verified is how long it took from the last write that moved requests until
// the endpoints were seen to be the new ones; 0 when the marks do not say.
func verified(marks []pipeline.Mark) time.Duration {
	var from, took int64
	for _, mark := range marks {
		switch {
		case strings.HasPrefix(mark.Text, "switch "):
			from, took = mark.AtMs, 0
		case strings.HasPrefix(mark.Text, "verified ") && from > 0 && took == 0:
			took = max(mark.AtMs-from, 1)
		}
	}
	return time.Duration(took) * time.Millisecond
}
