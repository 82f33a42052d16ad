package source

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSubject limits, in bytes, the text of a commit that is passed on.
const maxSubject = 1000

// clean makes one line for a terminal, a log or JSON out of what strangers
// wrote: valid UTF-8, control characters as spaces, no marks that turn the
// direction of writing, and no more than maxSubject bytes.
func clean(s string) string {
	cut := len(s) > 4*maxSubject
	if cut {
		s = s[:4*maxSubject]
	}
	s = strings.TrimSpace(strings.Map(func(c rune) rune {
		switch {
		case unicode.IsControl(c) || c == '\u2028' || c == '\u2029':
			return ' '
		case c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069':
			return -1
		}
		return c // an invalid byte arrives as U+FFFD
	}, s))
	if len(s) <= maxSubject && !cut {
		return s
	}
	end := min(len(s), maxSubject-len("..."))
	for end > 0 && end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
