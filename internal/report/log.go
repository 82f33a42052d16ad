package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// longestLine bounds one line of a log, so that who reads a line needs no
	// more memory than this. Longer ones are split.
	longestLine = 64 << 10
	// largestBatch bounds what one call to the operating system appends.
	largestBatch = 256 << 10
)

// mask stands in a log where a secret stood.
var mask = []byte("***")

// Log appends stamped lines to a file. What has no newline yet waits for it, or
// for EndLine or Close. Each batch of whole lines is one write to a file opened
// for appending, so that several processes may write to one file and their
// lines never mix. It is safe for concurrent use.
type Log struct {
	now func() time.Time

	mu      sync.Mutex
	file    *os.File
	pending []byte // bytes that were written and are not in the file yet
	batch   []byte // lines with their stamps, reused between writes
	secrets [][]byte
	torn    bool // the last append ended in the middle of a line
}

var _ io.WriteCloser = (*Log)(nil)

// OpenLog opens the log file at path for appending and creates it, readable by
// its owner alone, when it is missing.
func OpenLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &Log{file: f, now: time.Now}, nil
}

// Hide makes the log show *** wherever secret would stand from now on. Secrets
// of several lines are not found: hide each of their lines.
func (l *Log) Hide(secret string) {
	if secret == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, []byte(secret))
	// The longest first: of a secret that begins with another, the rest would
	// stay once the other is masked.
	slices.SortFunc(l.secrets, func(a, b []byte) int { return len(b) - len(a) })
}

// Write takes any part of the text: some lines, a piece of one. It reports all
// of p as written unless the file refused some of it.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for done := 0; done < len(p); {
		n := min(len(p)-done, largestBatch)
		l.pending = append(l.pending, p[done:done+n]...)
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
	l.pending = fmt.Appendf(l.pending, format, args...)
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
	l.redact()
	ready = bytes.LastIndexByte(l.pending, '\n') + 1
	l.batch = l.batch[:0]
	if l.torn {
		l.batch = append(l.batch, '\n')
	}
	stamp := l.now().UTC().AppendFormat(nil, layout)
	stamp = append(stamp, ' ')
	l.stamp(stamp, l.pending[:ready])
	if rest := len(l.pending) - ready; rest >= longestLine {
		// The tail stays, in case a secret has only begun in it.
		take := max(1, rest-l.longestSecret())
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

// redact replaces every secret in what is pending, the part that stays as well:
// a secret may begin in one write and end in the next.
func (l *Log) redact() {
	for _, secret := range l.secrets {
		if bytes.Contains(l.pending, secret) {
			l.pending = bytes.ReplaceAll(l.pending, secret, mask)
		}
	}
}

func (l *Log) longestSecret() int {
	longest := 0
	for _, s := range l.secrets {
		longest = max(longest, len(s))
	}
	return longest
}
