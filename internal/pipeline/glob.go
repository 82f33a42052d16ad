package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxGlob is the length of a pattern in characters, which is CodePipeline's
// limit.
const maxGlob = 255

// CheckGlob tells what is wrong with a pattern of Globs, or nil.
func CheckGlob(pattern string) error {
	_, err := compileGlob(pattern)
	return err
}

// compileGlob makes a regular expression of a pattern. The language is the one
// that CodePipeline documents, which is that of Java's file systems: * is any
// text without a slash, ** any text at all, ? one character other than a slash,
// [a-z] and [!a-z] one character of a set, {a,b} one of several patterns, and a
// backslash takes the meaning away from what follows.
//
// So **/README.md asks for a slash and does not match README.md itself, which
// {**/,}README.md does. Regular expressions here take time in proportion to the
// text, whatever the pattern.
func compileGlob(pattern string) (*regexp.Regexp, error) {
	if pattern == "" || !utf8.ValidString(pattern) || utf8.RuneCountInString(pattern) > maxGlob {
		return nil, fmt.Errorf("a pattern has between 1 and %d characters", maxGlob)
	}
	g := globReader{rest: []rune(pattern)}
	if err := g.read(); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return regexp.Compile(`(?s)\A(?:` + g.out.String() + `)\z`)
}

type globReader struct {
	rest  []rune
	out   strings.Builder
	group bool
}

func (g *globReader) read() error {
	for len(g.rest) > 0 {
		c := g.rest[0]
		g.rest = g.rest[1:]
		switch {
		case c == '\\':
			if len(g.rest) == 0 {
				return errors.New("a backslash stands at its end: write two to mean one")
			}
			g.literal(g.rest[0])
			g.rest = g.rest[1:]
		case c == '*' && len(g.rest) > 0 && g.rest[0] == '*':
			g.rest = g.rest[1:]
			g.out.WriteString(`.*`)
		case c == '*':
			g.out.WriteString(`[^/]*`)
		case c == '?':
			g.out.WriteString(`[^/]`)
		case c == '[':
			if err := g.set(); err != nil {
				return err
			}
		case c == '{':
			if g.group {
				return errors.New("groups in braces cannot stand in one another")
			}
			g.group = true
			g.out.WriteString(`(?:`)
		case c == '}' && g.group:
			g.group = false
			g.out.WriteString(`)`)
		case c == ',' && g.group:
			g.out.WriteString(`|`)
		default:
			g.literal(c)
		}
	}
	if g.group {
		return errors.New("a closing brace is missing")
	}
	return nil
}

func (g *globReader) literal(c rune) { g.out.WriteString(regexp.QuoteMeta(string(c))) }

// set reads what stands between brackets, where no character but the hyphen
// between two others, and ! at the beginning, means anything but itself.
func (g *globReader) set() error {
	negated := len(g.rest) > 0 && g.rest[0] == '!'
	if negated {
		g.rest = g.rest[1:]
	}
	var set strings.Builder
	for first := true; ; first = false {
		if len(g.rest) == 0 {
			return errors.New("a closing bracket is missing")
		}
		from := g.rest[0]
		if from == ']' && !first {
			g.rest = g.rest[1:]
			break
		}
		to := from
		g.rest = g.rest[1:]
		if len(g.rest) > 1 && g.rest[0] == '-' && g.rest[1] != ']' {
			to = g.rest[1]
			g.rest = g.rest[2:]
		}
		if from == '/' || to == '/' {
			return errors.New("a slash cannot be in a set in brackets")
		}
		if to < from {
			return fmt.Errorf("the range %c-%c goes backwards", from, to)
		}
		// A range may not reach over the slash: * and ? do not either.
		if from < '/' && '/' < to {
			fmt.Fprintf(&set, `\x{%x}-\x{%x}\x{%x}-\x{%x}`, from, '/'-1, '/'+1, to)
		} else {
			fmt.Fprintf(&set, `\x{%x}-\x{%x}`, from, to)
		}
	}
	if negated {
		g.out.WriteString(`[^/` + set.String() + `]`)
	} else {
		g.out.WriteString(`[` + set.String() + `]`)
	}
	return nil
}
