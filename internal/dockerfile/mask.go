package dockerfile

import (
	"bytes"
	"errors"
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
}

// mask puts itself before the log and the progress of a build.
func mask(b *Build) (*masked, error) {
	m := &masked{secrets: &redact.Secrets{}, to: b.Log}
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

// pass passes on what is in front of a place.
func (m *masked) pass(end int) error {
	if end == 0 {
		return nil
	}
	_, err := m.to.Write(m.out[:end])
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
		return &mendError{ErrLost, text}
	}
	return errors.New(text)
}
