package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/towline/towline/internal/redact"
)

// masked hides the secrets of a build in its log, its progress and its errors.
type masked struct {
	secrets *redact.Secrets
	to      io.Writer

	mu     sync.Mutex
	stream *redact.Stream
	out    []byte
	limit  int64
	passed int64 // more than limit when the log was cut
}

// mask puts itself before the log and the progress of a build.
func mask(b *Build) (*masked, error) {
	m := &masked{secrets: &redact.Secrets{}, to: b.Log, limit: b.Limits.Log}
	for id, value := range b.Secrets {
		if !m.secrets.Hide(string(value)) {
			return nil, Refuse("secrets: the value of %s is shorter than %d characters, too short to be hidden in the log; give it a longer one", id, redact.Shortest)
		}
	}
	m.stream = redact.NewStream(m.secrets)
	b.Hidden = m.secrets
	b.Log = m
	if show := b.Progress; show != nil {
		b.Progress = func(line string) { show(m.secrets.String(line)) }
	}
	return m, nil
}

// Write takes whole lines and passes whole lines on. The stream may hold the
// end of them back, until more comes or the build ends.
func (m *masked) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = m.stream.Append(m.out, p)
	return len(p), m.pass(bytes.LastIndexByte(m.out, '\n') + 1)
}

// pass passes on what is in front of a place, whole lines, as far as the log may
// have them.
func (m *masked) pass(end int) error {
	if end == 0 || m.passed > m.limit {
		m.out = append(m.out[:0], m.out[end:]...)
		return nil
	}
	text := m.out[:end]
	if m.passed += int64(end); m.passed > m.limit {
		most := m.limit - (m.passed - int64(end))
		text = fmt.Appendf(nil, "%sthe log is cut here: it may have %d bytes; the build goes on\n", text[:bytes.LastIndexByte(text[:most], '\n')+1], m.limit)
	}
	_, err := m.to.Write(text)
	m.out = append(m.out[:0], m.out[end:]...)
	return err
}

// flush passes on what was held back.
func (m *masked) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = m.stream.Flush(m.out)
	if len(m.out) > 0 && m.out[len(m.out)-1] != '\n' {
		m.out = append(m.out, '\n')
	}
	_ = m.pass(len(m.out)) // a log that is lost is reported by its owner
}

// error hides the secrets in an error's text.
func (m *masked) error(err error) error {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return &RefusedError{m.secrets.String(refused.Message)}
	}
	if !m.secrets.Holds(err.Error()) {
		return err
	}
	text := m.secrets.String(err.Error())
	if errors.Is(err, ErrLost) {
		return &lostError{text}
	}
	return errors.New(text)
}

// lostError is ErrLost in other words.
type lostError struct{ text string }

func (e *lostError) Error() string { return e.text }
func (*lostError) Unwrap() error   { return ErrLost }
