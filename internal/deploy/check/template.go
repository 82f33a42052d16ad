package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// placeholder is {{name}}, at the beginning of a text.
var placeholder = regexp.MustCompile(`^\{\{\s*([^{}]*?)\s*\}\}`)

// bare is what a value may be outside of quotes, where PromQL has no escapes.
var bare = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// fill puts values in the place of {{name}} in a query, so that each stands
// for itself and nothing else wherever it is put: in a string of PromQL it is
// escaped as that string's quotes need it. Empty values are refused, for a
// query with them would ask for something else.
func fill(query string, values map[string]string) (string, error) {
	var b strings.Builder
	quote := byte(0) // that of the string which the scan is in
	for i := 0; i < len(query); {
		if match := placeholder.FindStringSubmatch(query[i:]); match != nil {
			value, known := values[match[1]]
			if !known {
				return "", fmt.Errorf("the query has {{%s}}, which stands for nothing: use {{%s}}", match[1], strings.Join(slices.Sorted(maps.Keys(values)), "}}, {{"))
			}
			escaped, err := escape(match[1], value, quote)
			if err != nil {
				return "", err
			}
			b.WriteString(escaped)
			i += len(match[0])
			continue
		}
		c := query[i]
		b.WriteByte(c)
		i++
		switch {
		case quote == 0 && c == '#': // A comment may hold any quote.
			end := strings.IndexByte(query[i:], '\n')
			if end < 0 {
				end = len(query) - i
			}
			b.WriteString(query[i : i+end])
			i += end
		case quote == 0 && (c == '"' || c == '\'' || c == '`'):
			quote = c
		case quote == c:
			quote = 0
		case c == '\\' && quote != 0 && quote != '`' && i < len(query):
			b.WriteByte(query[i])
			i++
		}
	}
	return b.String(), nil
}

// escape makes a value stand for itself within those quotes, 0 for none.
func escape(name, value string, quote byte) (string, error) {
	switch {
	case value == "":
		return "", fmt.Errorf("the query has {{%s}}, and this deployment has none: leave it out", name)
	case !utf8.ValidString(value):
		return "", fmt.Errorf("{{%s}} is %q, which no label can be", name, value)
	case quote == 0 && !bare.MatchString(value):
		return "", fmt.Errorf(`the query has {{%s}} outside of quotes, where %q means something else: write "{{%s}}"`, name, value, name)
	case quote == '`' && strings.Contains(value, "`"):
		return "", fmt.Errorf("the query has {{%s}} in backquotes, which %q would end: write \"{{%s}}\"", name, value, name)
	case quote == 0 || quote == '`':
		return value, nil
	}
	return strings.NewReplacer(`\`, `\\`, string(quote), `\`+string(quote), "\n", `\n`, "\r", `\r`).Replace(value), nil
}
