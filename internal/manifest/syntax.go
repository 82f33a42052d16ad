package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	goyaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// syntaxError says where and why a document is no YAML. The parser that reads
// it tells the line only, and often the one before, so the one that knows
// columns is asked when it disagrees as well.
func (d *document) syntaxError(err error) error {
	if line, column, ok := findTab(d.text); ok {
		return d.errorAt(line, column, "a tab where YAML wants spaces", "indent with spaces")
	}
	if strings.Contains(d.text, "{{") && !strings.Contains(d.text, "\"{{") {
		line, column := position(d.text, strings.Index(d.text, "{{"))
		return d.errorAt(line, column, "a template, not YAML", "render it first, for example with helm template; or quote the value when it should stay as it is")
	}
	if found := unknownAnchor.FindStringSubmatch(err.Error()); found != nil {
		line, column := position(d.text, max(0, strings.Index(d.text, "*"+found[1])))
		return d.errorAt(line, column, fmt.Sprintf("alias *%s stands for nothing", found[1]), "mark what it stands for with &"+found[1]+" before it, or quote the value")
	}
	if line, column, message, ok := secondOpinion(d.text); ok {
		return d.errorAt(line, column, message, "")
	}
	line, message := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if found := lineOf.FindStringSubmatch(message); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			line = n
		}
		message = strings.TrimSpace(message[len(found[0]):])
	}
	return d.errorAt(line, 1, message, "")
}

var lineOf = regexp.MustCompile(`(?s)^(?:error converting YAML to JSON: )?(?:yaml: )?(?:unmarshal errors:\s*)?line ([0-9]+): `)

var unknownAnchor = regexp.MustCompile(`unknown anchor '([^']*)' referenced`)

func secondOpinion(text string) (line, column int, message string, ok bool) {
	_, err := parser.ParseBytes([]byte(text), 0)
	var located goyaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil || located.GetToken().Position == nil {
		return 0, 0, "", false
	}
	p := located.GetToken().Position
	message, _, _ = strings.Cut(located.GetMessage(), " at [")
	return p.Line, p.Column, message, true
}

// findTab finds a tab in the indentation of a line.
func findTab(text string) (line, column int, ok bool) {
	for l := range strings.Lines(text) {
		line++
		indent := l[:len(l)-len(strings.TrimLeft(l, " \t"))]
		if i := strings.IndexByte(indent, '\t'); i >= 0 && strings.TrimSpace(l) != "" {
			return line, i + 1, true
		}
	}
	return 0, 0, false
}

// position is the line and column, in bytes from 1, of an offset of text.
func position(text string, offset int) (line, column int) {
	before := text[:offset]
	return strings.Count(before, "\n") + 1, offset - strings.LastIndexByte(before, '\n')
}
