// Package redact keeps secrets out of what people read. Its nouns are Secrets,
// the values that must not be shown, and the Stream that everything which is
// printed goes through on its way to a log. It knows no logs and no builds.
//
// A value is hidden as it is and in the forms that programs print it in: base64
// at each of its three alignments, in both alphabets, escaped for a URL, JSON,
// HTML or a shell, in lines of any width. Of a value of several lines each line
// of some length is hidden too. What a program does to a value beyond that
// (reverses it, encrypts it, prints it letter by letter) is not found: who may
// run commands with a secret can always get it out.
package redact

import (
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// Mask stands where a secret stood.
	Mask = "***"
	// Shortest is the least number of bytes that a value must have to be
	// hidden, its ends trimmed: what is shorter stands in too many words.
	Shortest = 4
)

// Secrets are values that must not be shown. The zero value, and nil, has none.
// They are safe for concurrent use.
type Secrets struct {
	mu      sync.Mutex
	forms   map[string]bool
	matcher atomic.Pointer[matcher] // of all forms, nil when there are none
}

// New returns the secrets with these values. Those that are too short are left
// out, as by Hide.
func New(values ...string) *Secrets {
	s := &Secrets{}
	for _, value := range values {
		s.Hide(value)
	}
	return s
}

// Hide adds a value. It reports false for one that is too short to be hidden;
// nothing is done then. An empty one needs no hiding.
func (s *Secrets) Hide(value string) bool {
	value = strings.TrimSpace(value)
	if value == "" {
		return true
	}
	if len(withoutLineEnds(value)) < Shortest {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forms == nil {
		s.forms = map[string]bool{}
	}
	before := len(s.forms)
	for _, form := range forms(value) {
		s.forms[form] = true
	}
	if len(s.forms) > before {
		s.matcher.Store(newMatcher(s.forms))
	}
	return true
}

// String is a whole text, such as an error's, with its secrets masked.
func (s *Secrets) String(text string) string {
	if s == nil || s.matcher.Load() == nil {
		return text
	}
	return string(s.Bytes([]byte(text)))
}

// Bytes is a whole text with its secrets masked. It does not change text.
func (s *Secrets) Bytes(text []byte) []byte {
	stream := NewStream(s)
	return stream.end(stream.Append(make([]byte, 0, len(text)), text), false)
}

// Holds tells whether there is a secret in the text.
func (s *Secrets) Holds(text string) bool {
	if s == nil {
		return false
	}
	m := s.matcher.Load()
	return m != nil && len(m.find(withoutLineEnds(text), nil)) > 0
}

// withoutLineEnds is the text as secrets are looked for in it: they may be
// printed in lines of any width.
func withoutLineEnds[T string | []byte](text T) []byte {
	kept := make([]byte, 0, len(text))
	for i := range len(text) {
		if c := text[i]; c != '\n' && c != '\r' {
			kept = append(kept, c)
		}
	}
	return kept
}
