package buildah

import (
	"bytes"
	"io"

	"github.com/towline/towline/internal/redact"
)

// lineLimit is the most of a line that is waited for, in bytes.
const lineLimit = 16 << 10

// lines passes whole lines on and keeps the last one. It belongs to one
// goroutine: os/exec gives both outputs, when they are the same, one.
type lines struct {
	to      io.Writer
	masking *redact.Stream // before there are lines, of which a secret may have several
	held    []byte
	last    string
}

func (l *lines) Write(p []byte) (int, error) {
	l.held = l.masking.Append(l.held, p)
	return len(p), l.pass()
}

// pass passes on the lines that are whole, and breaks one that does not end.
func (l *lines) pass() error {
	end := bytes.LastIndexByte(l.held, '\n') + 1
	if end == 0 && len(l.held) < lineLimit {
		return nil
	}
	if end == 0 {
		l.held = append(l.held, '\n')
		end = len(l.held)
	}
	for line := range bytes.Lines(l.held[:end]) {
		if text := bytes.TrimSpace(line); len(text) > 0 {
			l.last = string(text)
		}
	}
	_, err := l.to.Write(l.held[:end])
	l.held = append(l.held[:0], l.held[end:]...)
	return err
}

func (l *lines) flush() {
	l.held = l.masking.Flush(l.held)
	if len(l.held) > 0 {
		l.held = append(l.held, '\n')
		_ = l.pass() // a log that is lost is reported by its owner
	}
}
