package redact

import "bytes"

// Stream masks the secrets of a text that comes in any parts. It holds back
// what may be the beginning of a secret until it knows, at most some hundred
// bytes; of lines that are complete only what has as many bytes of one as the
// shortest secret has. It belongs to one goroutine.
type Stream struct {
	secrets *Secrets
	held    []byte // not shown yet
	// context is the end of what was shown, without the ends of lines, as far
	// as a secret may have begun in it.
	context []byte
	masked  bool // what was shown last is a mask

	// Reused from part to part.
	view  []byte // the context and the text, without the ends of lines
	parts []part
	found []span
}

// part is a piece of the text without the end of a line: size bytes, at one
// place of the text and at another of the view.
type part struct{ text, view, size int }

// NewStream returns a stream without the secrets, also those that are hidden
// later. Nil has none.
func NewStream(secrets *Secrets) *Stream {
	if secrets == nil {
		secrets = &Secrets{}
	}
	return &Stream{secrets: secrets}
}

// atOnce is how much of a text is looked at in one go, in bytes. It fits the
// processor's nearer caches.
const atOnce = 64 << 10

// Append adds to out what may be shown now that the text goes on with p.
func (s *Stream) Append(out, p []byte) []byte {
	for len(p) > atOnce {
		out = s.next(out, p[:atOnce], goesOn)
		p = p[atOnce:]
	}
	return s.next(out, p, goesOn)
}

// Flush adds to out what has been held back: who reads waits for it, although
// the text may go on. What is the beginning of a secret by all appearances is
// masked.
func (s *Stream) Flush(out []byte) []byte {
	out = s.end(out, true)
	s.masked = false // something else may be put behind it
	return out
}

func (s *Stream) end(out []byte, doubt bool) []byte {
	if doubt {
		return s.next(out, nil, waits)
	}
	return s.next(out, nil, ends)
}

// ending is what follows a part of a text.
type ending int

const (
	goesOn ending = iota
	waits         // perhaps more, but what there is must be shown
	ends
)

func (s *Stream) next(out, p []byte, then ending) []byte {
	m := s.secrets.matcher.Load()
	if m == nil {
		out = append(out, s.held...)
		s.held = s.held[:0]
		return append(out, p...)
	}
	s.held = append(s.held, p...)
	text := s.held
	s.look(text)
	known, size := len(s.context), len(s.view)
	s.found = m.find(s.view, s.found[:0])
	tail := m.tail(s.view)
	until := tail
	switch {
	case then == waits && tail < size:
		s.found = join(s.found, span{tail, size})
		until = size
	case then != goesOn:
		until = size
	case len(s.parts) > 0 && !endsLine(text):
		// Whoever waits for whole lines waits anyway.
		line := s.parts[len(s.parts)-1].view
		until = min(until, max(line, size-(Shortest-1)))
	}
	until = max(until, known)
	cut := s.place(until, len(text))
	out = s.show(out, text[:cut])
	s.keep(m, min(until, tail), until)
	s.held = append(s.held[:0], text[cut:]...)
	return out
}

func endsLine(text []byte) bool {
	return len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r')
}

// look makes the view of a text.
func (s *Stream) look(text []byte) {
	s.view, s.parts = append(s.view[:0], s.context...), s.parts[:0]
	for at := 0; at < len(text); {
		size := bytes.IndexByte(text[at:], '\n')
		if size < 0 {
			size = len(text) - at
		}
		if turn := bytes.IndexByte(text[at:at+size], '\r'); turn >= 0 {
			size = turn
		}
		if size > 0 {
			s.parts = append(s.parts, part{text: at, view: len(s.view), size: size})
			s.view = append(s.view, text[at:at+size]...)
		}
		at += size + 1
	}
}

// place is where in the text a place of the view is; the end of the view is
// that of the text.
func (s *Stream) place(until, size int) int {
	for i := len(s.parts) - 1; i >= 0 && until < len(s.view); i-- {
		if p := s.parts[i]; p.view <= until {
			return p.text + until - p.view
		}
	}
	return size
}

// show adds the text to out, with masks for what was found. The ends of lines
// stay where they are.
func (s *Stream) show(out, text []byte) []byte {
	if len(s.found) == 0 {
		s.masked = s.masked && len(text) == 0
		return append(out, text...)
	}
	found, shown := s.found, 0
	for _, p := range s.parts {
		if p.text >= len(text) {
			break
		}
		if p.text > shown {
			out = append(out, text[shown:p.text]...)
			s.masked = false
		}
		shown = min(p.text+p.size, len(text))
		for at := p.text; at < shown; {
			view := p.view + at - p.text
			for len(found) > 0 && found[0].end <= view {
				found = found[1:]
			}
			plain, masked := shown, shown
			if len(found) > 0 {
				plain = min(shown, at+max(0, found[0].begin-view))
				masked = min(shown, at+max(0, found[0].end-view))
			}
			if plain > at {
				out = append(out, text[at:plain]...)
				s.masked = false
			}
			if masked > plain && !s.masked {
				out = append(out, Mask...)
				s.masked = true
			}
			at = masked
		}
	}
	if shown < len(text) {
		out = append(out, text[shown:]...)
		s.masked = false
	}
	return out
}

// keep keeps what a secret may have begun in: all that is shown from begin on,
// or from where a secret begins that is shown in part, or the few bytes that
// are not waited for.
func (s *Stream) keep(m *matcher, begin, until int) {
	begin = min(begin, until-(Shortest-1))
	for _, f := range s.found {
		if f.begin < until && f.end > until {
			begin = min(begin, f.begin)
		}
	}
	begin = max(0, begin, until-m.most+1)
	s.context = append(s.context[:0], s.view[begin:until]...)
}
