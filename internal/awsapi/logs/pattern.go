package logs

import (
	"regexp"
	"slices"
	"strings"
)

// pattern is a filter pattern for unstructured logs, in AWS's syntax: terms that
// a line must have all of, with - before it none of, with ? before it one of; in
// double quotes when it has other characters than letters, digits and
// underscores, or between % a regular expression.
type pattern struct {
	all, none, some []term
}

type term func(text string) bool

// longestExpression bounds a regular expression, in bytes.
const longestExpression = 200

func (p pattern) matches(text string) bool {
	has := func(t term) bool { return t(text) }
	lacks := func(t term) bool { return !t(text) }
	return !slices.ContainsFunc(p.all, lacks) && !slices.ContainsFunc(p.none, has) && (len(p.some) == 0 || len(p.all) > 0 || slices.ContainsFunc(p.some, has))
}

// parsePattern reads a pattern. Those that choose by the members of JSON or by
// columns are refused: a build's log has neither.
func parsePattern(text string) (pattern, error) {
	var p pattern
	text = strings.TrimSpace(text)
	if len(text) > longestTerms {
		return p, invalid("Invalid filter pattern: it is longer than %d characters.", longestTerms)
	}
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		return p, invalid("Invalid filter pattern: the lines of a build's log are plain text; search them for terms, such as ERROR or \"exit code\".")
	}
	for text != "" {
		into := &p.all
		switch text[0] {
		case '-':
			into, text = &p.none, text[1:]
		case '?':
			into, text = &p.some, text[1:]
		}
		one, rest, err := parseTerm(text)
		if err != nil {
			return pattern{}, err
		}
		*into = append(*into, one)
		text = strings.TrimSpace(rest)
	}
	return p, nil
}

func parseTerm(text string) (term, string, error) {
	switch {
	case text == "":
		return nil, "", invalid("Invalid filter pattern: a term is missing.")
	case text[0] == '"':
		var quoted strings.Builder
		for i := 1; i < len(text); i++ {
			switch c := text[i]; {
			case c == '"':
				return contains(quoted.String()), text[i+1:], nil
			case c == '\\' && i+1 < len(text):
				i++
				quoted.WriteByte(text[i])
			default:
				quoted.WriteByte(c)
			}
		}
		return nil, "", invalid("Invalid filter pattern: a quotation mark is missing.")
	case text[0] == '%':
		expression, rest, ok := strings.Cut(text[1:], "%")
		// Counted repetitions make a short expression a long program, which a log
		// of many lines would be held against.
		if strings.Contains(expression, "{") || len(expression) > longestExpression {
			return nil, "", invalid("Invalid filter pattern: a regular expression may have %d characters, and no counted repetitions ({n}).", longestExpression)
		}
		compiled, err := regexp.Compile(expression)
		if !ok || err != nil {
			return nil, "", invalid("Invalid filter pattern: what stands between %% is no regular expression.")
		}
		return compiled.MatchString, rest, nil
	}
	word, rest, _ := strings.Cut(text, " ")
	if strings.Contains(word, `"`) {
		return nil, "", invalid("Invalid filter pattern: a quotation mark stands within a term.")
	}
	return contains(word), rest, nil
}

func contains(part string) term {
	return func(text string) bool { return strings.Contains(text, part) }
}
