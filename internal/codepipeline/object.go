package codepipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// reader takes foreign JSON apart and gathers what is wrong with it.
type reader struct{ problems pipeline.Problems }

func (r *reader) problem(path, hint, format string, args ...any) {
	const most = 100 // nobody reads more
	if len(r.problems) == most {
		return
	}
	if path == "" {
		path = "the file"
	}
	r.problems = append(r.problems, pipeline.Problem{Path: path, Hint: hint, Message: fmt.Sprintf(format, args...), Exception: pipeline.InvalidValue})
}

// object is a JSON object of which members are taken one by one. What nobody
// has taken in the end is foreign. Names are compared exactly, as AWS does.
type object struct {
	reader  *reader
	path    string
	members map[string]json.RawMessage
}

func (r *reader) object(raw json.RawMessage, path string) object {
	o := object{reader: r, path: path}
	if json.Unmarshal(raw, &o.members) != nil || o.members == nil {
		r.problem(path, "write an object in braces", "it must be an object, not %s", kindOf(raw))
		o.members = map[string]json.RawMessage{}
	}
	return o
}

// at is the path of a member.
func (o object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

// take removes a member. One that is null is the same as none.
func (o object) take(name string) (json.RawMessage, bool) {
	raw, ok := o.members[name]
	delete(o.members, name)
	return raw, ok && string(bytes.TrimSpace(raw)) != "null"
}

func (o object) text(name string) string {
	raw, ok := o.take(name)
	if !ok {
		return ""
	}
	return o.reader.text(raw, o.at(name))
}

func (r *reader) text(raw json.RawMessage, path string) string {
	var s string
	if json.Unmarshal(raw, &s) != nil || kindOf(raw) != "text" {
		r.problem(path, "write it in quotes", "it must be text, not %s", kindOf(raw))
	}
	return s
}

func (o object) number(name string) int {
	raw, ok := o.take(name)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(raw)))
	if err != nil {
		o.reader.problem(o.at(name), "write digits without quotes", "it must be a whole number, not %s", shown(raw))
	}
	return n
}

// list takes a member that is a list; missing it is nil.
func (o object) list(name string) []json.RawMessage {
	raw, ok := o.take(name)
	if !ok {
		return nil
	}
	return o.reader.list(raw, o.at(name))
}

func (r *reader) list(raw json.RawMessage, path string) []json.RawMessage {
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		r.problem(path, "write a list in brackets", "it must be a list, not %s", kindOf(raw))
	}
	return elements
}

func (r *reader) texts(raw json.RawMessage, path string) []string {
	var texts []string
	for i, element := range r.list(raw, path) {
		texts = append(texts, r.text(element, fmt.Sprintf("%s[%d]", path, i)))
	}
	return texts
}

// foreign is what has not been taken.
func (o object) foreign() pipeline.Foreign {
	var rest pipeline.Foreign
	for name, raw := range o.members {
		if string(bytes.TrimSpace(raw)) != "null" {
			rest = with(rest, name, raw)
		}
	}
	return rest
}

// with adds a member to what is foreign.
func with(f pipeline.Foreign, name string, raw json.RawMessage) pipeline.Foreign {
	if f == nil {
		f = pipeline.Foreign{}
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) == nil {
		raw = b.Bytes()
	}
	f[name] = raw
	return f
}

// syntax tells where a text stops being JSON, nil when it is JSON.
func syntax(text []byte) pipeline.Problems {
	var whole json.RawMessage
	err := json.Unmarshal(text, &whole)
	if err == nil {
		return nil
	}
	line, column := 1, 1
	if at, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := text[:max(0, min(int(at.Offset), len(text)))]
		line += bytes.Count(before, []byte("\n"))
		column = max(1, len(before)-1-bytes.LastIndexByte(before, '\n'))
	}
	return pipeline.Problems{{
		Path: fmt.Sprintf("line %d, column %d", line, column), Message: "this is not JSON: " + err.Error(),
		Hint: "mend it there or just before", Exception: pipeline.InvalidValue,
	}}
}

// kindOf is what a JSON value is, in words.
func kindOf(raw json.RawMessage) string {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0:
		return "nothing"
	case raw[0] == '{':
		return "an object"
	case raw[0] == '[':
		return "a list"
	case raw[0] == '"':
		return "text"
	case raw[0] == 't', raw[0] == 'f':
		return "true or false"
	case raw[0] == 'n':
		return "null"
	}
	return "a number"
}

// shown is a value for a message, cut when it is long.
func shown(raw json.RawMessage) string {
	const most = 40
	text := []rune(strings.TrimSpace(string(raw)))
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}
