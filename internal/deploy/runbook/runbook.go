// Package runbook is the log of a deployment, written so that a person could
// repeat it.
package runbook

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// Runbook is the log of a deployment: what was done, in the order of doing it,
// with the request that did it. Safe for concurrent use; whole lines only.
type Runbook struct {
	mu       sync.Mutex
	w        io.Writer
	progress func(string)
	last     map[string]string // the line of progress of each thing
}

// New writes to w, and tells progress the one line that is replaced often. Both
// may be nil.
func New(w io.Writer, progress func(string)) *Runbook {
	if w == nil {
		w = io.Discard
	}
	if progress == nil {
		progress = func(string) {}
	}
	return &Runbook{w: w, progress: progress, last: map[string]string{}}
}

// Line writes a line.
func (b *Runbook) Line(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	// A log that cannot be written must not stop a rollout half way.
	_, _ = io.WriteString(b.w, text+"\n")
}

// Report replaces the line of progress with how one thing stands, and logs it
// when that has changed.
func (b *Runbook) Report(thing, line string) {
	b.mu.Lock()
	same := line == b.last[thing]
	b.last[thing] = line
	b.mu.Unlock()
	if !same {
		b.progress(thing + ": " + line)
		b.Line("        %s: %s", thing, line)
	}
}
