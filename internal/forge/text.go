package forge

import (
	"strings"
	"unicode"
)

// maxText limits, in characters, text of strangers that is passed on.
const maxText = 300

// line makes one line for a log or a terminal out of what strangers wrote:
// control characters become spaces, and marks that turn the direction of
// writing are taken out.
func line(s string) string {
	var kept []rune
	for _, c := range s {
		if len(kept) == maxText {
			break
		}
		switch {
		case unicode.IsControl(c) || c == '\u2028' || c == '\u2029':
			kept = append(kept, ' ')
		case c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069':
		default:
			kept = append(kept, c)
		}
	}
	return strings.TrimSpace(string(kept))
}

// isRef says whether s is a whole ref that git itself would accept and that no
// program can take for an option or an expression.
func isRef(s string) bool {
	return strings.HasPrefix(s, "refs/") && isBranch(s)
}

// isBranch says the same of the name of a branch or tag.
func isBranch(s string) bool {
	if s == "" || len(s) > 255 || s[0] == '-' || s == "@" || strings.Contains(s, "..") || strings.Contains(s, "@{") || strings.HasSuffix(s, ".") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`~^:?*[\`, c) >= 0 {
			return false
		}
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

// isHex says whether s is between least and most hexadecimal digits.
func isHex(s string, least, most int) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) >= least && len(s) <= most
}

// object checks the name of an object and makes an empty one of the zeros.
func object(s string) (string, bool) {
	if strings.Trim(s, "0") == "" {
		return "", true
	}
	return s, isHex(s, 40, 40) || isHex(s, 64, 64)
}

// isRepository says whether s can be owner/name, with any number of groups.
func isRepository(s string) bool {
	if len(s) > maxRepositoryName || !strings.Contains(s, "/") {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part[0] == '-' || strings.Trim(part, ".") == "" {
			return false
		}
		for _, c := range part {
			if c != '-' && c != '_' && c != '.' && c != '~' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
				return false
			}
		}
	}
	return true
}
