package redact

import (
	"encoding/binary"
	"slices"
	"strings"
)

// span is a part of a text, from begin to before end.
type span struct{ begin, end int }

// join adds a span to those found, which are sorted and apart.
func join(found []span, s span) []span {
	for len(found) > 0 && found[len(found)-1].end >= s.begin {
		last := found[len(found)-1]
		s = span{min(s.begin, last.begin), max(s.end, last.end)}
		found = found[:len(found)-1]
	}
	return append(found, s)
}

// matcher finds many forms at once, by the algorithm of Wu and Manber: of the
// first bytes of all forms, as many as the shortest has, it knows for each pair
// of bytes how far from the end of them it stands at least. A pair that stands
// nowhere lets the search skip nearly the length of the shortest form.
type matcher struct {
	window int // bytes looked at, the length of the shortest form
	most   int // length of the longest form
	shift  [pairs]uint8
	list   [pairs]uint16 // of those whose window ends in the pair, an index of lists
	lists  [][]string
	begins [pairs]bool         // pairs that a form begins with
	heads  map[uint32][]string // forms by their first four bytes
}

// pairs is the number of classes that pairs of bytes fall into.
const pairs = 1 << 12

// widest bounds the window, so that a shift fits and the first of many forms
// are still told apart.
const widest = 32

// class tells pairs of letters and digits apart but for their case.
func class(a, b byte) int { return int(a&63)<<6 | int(b&63) }

func head(text []byte) uint32 { return binary.LittleEndian.Uint32(text) }

func newMatcher(forms map[string]bool) *matcher {
	m := &matcher{window: widest, lists: [][]string{nil}, heads: map[uint32][]string{}}
	for form := range forms {
		m.window, m.most = min(m.window, len(form)), max(m.most, len(form))
	}
	for i := range m.shift {
		m.shift[i] = uint8(m.window - 1)
	}
	for form := range forms {
		for i := 1; i < m.window; i++ {
			at := class(form[i-1], form[i])
			m.shift[at] = min(m.shift[at], uint8(m.window-1-i))
		}
		last := class(form[m.window-2], form[m.window-1])
		if m.list[last] == 0 {
			m.list[last] = uint16(len(m.lists))
			m.lists = append(m.lists, nil)
		}
		m.lists[m.list[last]] = append(m.lists[m.list[last]], form)
		m.begins[class(form[0], form[1])] = true
		first := head([]byte(form[:4]))
		m.heads[first] = append(m.heads[first], form)
	}
	// The longest first: it ends the comparison.
	for _, list := range m.lists {
		slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	}
	return m
}

// find adds to found where forms stand in the text. Those that overlap or touch
// are one span.
func (m *matcher) find(text []byte, found []span) []span {
	for i := m.window - 1; i < len(text); {
		at := class(text[i-1], text[i])
		if shift := m.shift[at]; shift > 0 {
			i += int(shift)
			continue
		}
		begin := i - m.window + 1
		rest := text[begin:]
		for _, form := range m.lists[m.list[at]] {
			if len(form) <= len(rest) && string(rest[:len(form)]) == form {
				found = join(found, span{begin, begin + len(form)})
				break
			}
		}
		i++
	}
	return found
}

// tail is where the first form begins that may go on behind the text, of which
// at least Shortest bytes are there; the length of the text when none does.
func (m *matcher) tail(text []byte) int {
	for i := max(0, len(text)-m.most+1); i+Shortest <= len(text); i++ {
		if !m.begins[class(text[i], text[i+1])] {
			continue
		}
		rest := text[i:]
		for _, form := range m.heads[head(rest)] {
			if len(form) > len(rest) && strings.HasPrefix(form, string(rest)) {
				return i
			}
		}
	}
	return len(text)
}
