// Package waittest is how tests wait: for a text in a log, which tells of
// itself, and for what cannot tell, by looking again and again. Its noun is the
// wait. It is for tests alone and knows nothing of what they test.
package waittest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience bounds each wait. It is more than anything takes on a busy machine
// that is not meant to fail.
const Patience = 3 * time.Minute

// Log is a log in memory. Its zero value is empty; it is safe for concurrent
// use.
type Log struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written chan struct{} // closed with the next write; nil while nobody waits
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written != nil {
		close(l.written)
		l.written = nil
	}
	return l.buf.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Await waits until the log has a text. The test fails when the text is not
// there in time.
func (l *Log) Await(tb testing.TB, text string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	for {
		written, ok := l.has(text)
		if ok {
			return
		}
		select {
		case <-written:
		case <-ctx.Done():
			tb.Fatalf("the log never has %q", text)
		}
	}
}

// has tells whether the log has a text, and else when to look again.
func (l *Log) has(text string) (written <-chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(l.buf.String(), text) {
		return nil, true
	}
	if l.written == nil {
		l.written = make(chan struct{})
	}
	return l.written, false
}
