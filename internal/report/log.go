package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/towline/towline/internal/redact"
)

const (
	// longestLine bounds one line of a log, so that who reads a line needs no
	// more memory than this. Longer ones are split.
	longestLine = 64 << 10
	// largestBatch bounds what one call to the operating system appends.
	largestBatch = 256 << 10
)

// Log appends stamped lines to a file. What has no newline yet waits for it, or
// for EndLine or Close. Each batch of whole lines is one write to a file opened
// for appending, so that several processes may write to one file and their
// lines never mix. All that is written goes through one redact.Stream. It is
// safe for concurrent use.
type Log struct {
	now     func() time.Time
	secrets *redact.Secrets

	mu      sync.Mutex
	file    *os.File
	stream  *redact.Stream
	pending []byte // redacted bytes that are not in the file yet
	batch   []byte // lines with their stamps, reused between writes
	torn    bool   // the last append ended in the middle of a line
	label   string
}

var _ io.WriteCloser = (*Log)(nil)

// OpenLog opens the log file at path for appending and creates it, readable by
// its owner alone, when it is missing.
func OpenLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	secrets := redact.New()
	return &Log{file: f, now: time.Now, secrets: secrets, stream: redact.NewStream(secrets)}, nil
}

// Hide makes the log show *** wherever a secret, or what package redact knows
// as a form of it, would stand from now on. One that is too short to be hidden
// is told of in the log.
func (l *Log) Hide(secret string) {
	if !l.secrets.Hide(secret) {
		_ = l.Printf("warning: a secret of fewer than %d characters is not hidden in this log: it would be found in other words; make it longer", redact.Shortest)
	}
}

// Redact is a text as the log would show it: for messages and values that do
// not go through it.
func (l *Log) Redact(text string) string { return l.secrets.String(text) }

// Label begins each line from here on with a text. It is not a part of what is
// written: a secret of several lines is found between labels too.
func (l *Log) Label(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.label = text
}

// Write takes any part of the text: some lines, a piece of one. It reports all
// of p as written unless the file refused some of it.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for done := 0; done < len(p); {
		n := min(len(p)-done, largestBatch)
		l.pending = l.stream.Append(l.pending, p[done:done+n])
		if err := l.flush(); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// Printf writes one line of its own, after ending the one that is pending.
func (l *Log) Printf(format string, args ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLine()
	// Not through the stream: the line that it interrupts may go on behind it.
	l.pending = append(l.pending, l.secrets.Bytes(fmt.Appendf(nil, format, args...))...)
	l.endLine()
	return l.flush()
}

// EndLine writes the pending part of a line as if its newline had come.
func (l *Log) EndLine() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLine()
	return l.flush()
}

// Close writes what is pending and closes the file.
func (l *Log) Close() error {
	err := l.EndLine()
	if closing := l.file.Close(); err == nil && closing != nil {
		err = fmt.Errorf("close log: %w", closing)
	}
	return err
}

func (l *Log) endLine() {
	l.pending = l.stream.Flush(l.pending)
	if len(l.pending) > 0 && l.pending[len(l.pending)-1] != '\n' {
		l.pending = append(l.pending, '\n')
	}
}

// flush appends the whole lines that are pending to the file.
func (l *Log) flush() error {
	ready := bytes.LastIndexByte(l.pending, '\n') + 1
	if ready == 0 && len(l.pending) < longestLine {
		return nil
	}
	l.batch = l.batch[:0]
	if l.torn {
		l.batch = append(l.batch, '\n')
	}
	stamp := l.now().UTC().AppendFormat(nil, layout)
	stamp = append(append(stamp, ' '), l.label...)
	l.stamp(stamp, l.pending[:ready])
	if rest := len(l.pending) - ready; rest >= longestLine {
		take := rest - rest%longestLine
		l.stamp(stamp, l.pending[ready:ready+take])
		ready += take
	}
	l.pending = append(l.pending[:0], l.pending[ready:]...)
	return l.append()
}

// stamp adds the lines of text to the batch, each piece with its stamp.
func (l *Log) stamp(stamp, text []byte) {
	for len(text) > 0 {
		line, rest := text, []byte(nil)
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, rest = text[:i], text[i+1:]
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		for len(line) > longestLine {
			l.batch = append(append(l.batch, stamp...), line[:longestLine]...)
			l.batch = append(l.batch, '\n')
			line = line[longestLine:]
		}
		l.batch = append(append(l.batch, stamp...), line...)
		l.batch = append(l.batch, '\n')
		text = rest
	}
}

func (l *Log) append() error {
	n, err := l.file.Write(l.batch)
	if err != nil {
		l.torn = n > 0 && n < len(l.batch)
		return fmt.Errorf("append to log: %w", err)
	}
	l.torn = false
	return nil
}
