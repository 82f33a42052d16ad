package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Containing tells whether a line has some text in it, in capitals or not. Every
// line has "".
func Containing(text string) func(line string) bool {
	if text == "" {
		return func(string) bool { return true }
	}
	first, _ := utf8.DecodeRuneInString(text)
	// The first letter is looked for in both forms, so that a log of any length
	// is not copied.
	either := string(unicode.ToLower(first)) + string(unicode.ToUpper(first))
	return func(line string) bool {
		for {
			i := strings.IndexAny(line, either)
			if i < 0 {
				return false
			}
			if hasFold(line[i:], text) {
				return true
			}
			_, size := utf8.DecodeRuneInString(line[i:])
			line = line[i+size:]
		}
	}
}

// hasFold tells whether s begins with prefix, in capitals or not.
func hasFold(s, prefix string) bool {
	for prefix != "" {
		if s == "" {
			return false
		}
		a, n := utf8.DecodeRuneInString(s)
		b, m := utf8.DecodeRuneInString(prefix)
		if a != b && unicode.ToLower(a) != unicode.ToLower(b) {
			return false
		}
		s, prefix = s[n:], prefix[m:]
	}
	return true
}
