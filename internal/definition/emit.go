package definition

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// lineWidth is how wide a mapping or a list may be that is written on one line.
const lineWidth = 88

// What is written over several lines however short it is, by its key: the frame
// of a definition, in which people look for their place. Of the first two, each
// element is too.
var frame = []string{"stages", "actions", "rules", "variables", "aws"}

// emitter writes a tree as YAML.
type emitter struct{ out bytes.Buffer }

func emit(t *tree) []byte {
	var e emitter
	e.block(t, "", 0)
	return e.out.Bytes()
}

// block writes a mapping or a list over several lines, each indented. The first
// line of it is where the emitter stands.
func (e *emitter) block(t *tree, key string, indent int) {
	for i, value := range t.values {
		if i > 0 {
			e.out.WriteString(strings.Repeat(" ", indent))
		}
		if t.kind == list {
			e.out.WriteString("- ")
			e.item(value, key, indent)
			continue
		}
		e.out.WriteString(keyword(t.keys[i]) + ":")
		e.value(value, t.keys[i], indent)
	}
}

// item writes an element of a list behind its dash.
func (e *emitter) item(t *tree, key string, indent int) {
	if lines, ok := t.literalBlock(indent + 2); ok {
		e.out.WriteString(lines[1:])
		return
	}
	if line, ok := t.line(indent); ok && !slices.Contains(frame[:2], key) {
		e.out.WriteString(line + "\n")
		return
	}
	e.block(t, "", indent+2)
}

// value writes what belongs to a key behind its colon.
func (e *emitter) value(t *tree, key string, indent int) {
	if lines, ok := t.literalBlock(indent + 2); ok {
		e.out.WriteString(lines)
		return
	}
	if line, ok := t.line(indent + len(key)); ok && (len(t.values) == 0 || !slices.Contains(frame, key)) {
		e.out.WriteString(" " + line + "\n")
		return
	}
	e.out.WriteString("\n" + strings.Repeat(" ", indent+2))
	e.block(t, key, indent+2)
}

// line is the tree on one line, ok false when it is better read on several.
// Strings, numbers and what is empty have no other form.
func (t *tree) line(indent int) (line string, ok bool) {
	line = t.flow()
	return line, len(t.values) == 0 || len(line)+indent <= lineWidth && !t.deep(3)
}

// deep tells whether there are more than so many levels of mappings and lists,
// or a text of several lines, which is better read on them.
func (t *tree) deep(levels int) bool {
	if t.kind == text {
		return strings.Contains(t.text, "\n")
	}
	return t.kind != literal && levels == 0 || slices.ContainsFunc(t.values, func(v *tree) bool { return v.deep(levels - 1) })
}

func (t *tree) flow() string {
	var parts []string
	for i, value := range t.values {
		part := value.flow()
		if t.kind == mapping {
			part = keyword(t.keys[i]) + ": " + part
		}
		parts = append(parts, part)
	}
	switch t.kind {
	case mapping:
		return "{" + strings.Join(parts, ", ") + "}"
	case list:
		return "[" + strings.Join(parts, ", ") + "]"
	case text:
		return scalar(t.text)
	}
	return t.text
}

// plain are the strings that mean themselves without quotes in every YAML, if
// they are not one of words.
var (
	plain = regexp.MustCompile(`^(?:[A-Za-z/](?:[A-Za-z0-9_./*@+ -]*[A-Za-z0-9_./*@+-])?|[0-9]+[smh])$`)
	words = []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan"}
)

// scalar is a string on one line, in quotes where it would mean something else.
func scalar(s string) string {
	if plain.MatchString(s) && !slices.Contains(words, strings.ToLower(s)) {
		return s
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		panic(err) // a string can always be encoded
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// keyword is a key. The one that is a word of some YAML is read by its own.
func keyword(key string) string {
	if key == "on" {
		return key
	}
	return scalar(key)
}

// blockLine is a line of text that a block can hold as it is.
var blockLine = regexp.MustCompile(`^[!-~](?:[ -~]*[!-~])?$`)

// literalBlock is a text of several lines, each on its own.
func (t *tree) literalBlock(indent int) (string, bool) {
	body, ended := strings.CutSuffix(t.text, "\n")
	lines := strings.Split(body, "\n")
	if t.kind != text || len(lines) < 2 || !blockLine.MatchString(lines[0]) {
		return "", false
	}
	for _, line := range lines[1:] {
		if !blockLine.MatchString(strings.TrimLeft(line, " ")) {
			return "", false
		}
	}
	head := " |-\n"
	if ended {
		head = " |\n"
	}
	space := strings.Repeat(" ", indent)
	return head + space + strings.Join(lines, "\n"+space) + "\n", true
}
