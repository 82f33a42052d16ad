package awsapi

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// jsonPath is the part of JSONPath that names one value: $.a.b, $['a'], $.a[0].
type jsonPath []pathStep

// pathStep goes to a member of an object, or with index to an element of a
// list.
type pathStep struct {
	member string
	index  int // -1 for a member
}

// errPath says what can be read.
var errPath = errors.New("a path names one value: $, then .member, ['member'] or [0]")

// parseJSONPath reads a path.
func parseJSONPath(text string) (jsonPath, error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, errPath
	}
	path := jsonPath{}
	for rest != "" {
		var step pathStep
		switch {
		case strings.HasPrefix(rest, "["):
			inner, after, ok := cutBracket(rest[1:])
			if !ok {
				return nil, errPath
			}
			step, rest = inner, after
		case strings.HasPrefix(rest, "."):
			end := strings.IndexAny(rest[1:], ".[]*?()'\" ")
			if end < 0 {
				end = len(rest) - 1
			}
			step, rest = pathStep{rest[1 : 1+end], -1}, rest[1+end:]
			if step.member == "" {
				return nil, errPath
			}
		default:
			return nil, errPath
		}
		path = append(path, step)
	}
	return path, nil
}

// cutBracket reads what follows a bracket, up to the one that closes it.
func cutBracket(text string) (step pathStep, rest string, ok bool) {
	if quote := strings.IndexAny(text, `'"`); quote == 0 {
		member, rest, closed := strings.Cut(text[1:], text[:1]+"]")
		return pathStep{member, -1}, rest, closed && member != ""
	}
	inner, rest, closed := strings.Cut(text, "]")
	index, err := strconv.ParseUint(inner, 10, 31)
	return pathStep{index: int(index)}, rest, closed && err == nil
}

// in is the value that the path names in a document, as text: a text as it is,
// anything else as JSON. It is not ok when the document has no such value.
func (p jsonPath) in(document any) (string, bool) {
	for _, step := range p {
		switch v := document.(type) {
		case map[string]any:
			inner, ok := v[step.member]
			if !ok || step.index >= 0 {
				return "", false
			}
			document = inner
		case []any:
			if step.index < 0 || step.index >= len(v) {
				return "", false
			}
			document = v[step.index]
		default:
			return "", false
		}
	}
	if text, ok := document.(string); ok {
		return text, true
	}
	text, err := json.Marshal(document)
	return string(text), err == nil
}
