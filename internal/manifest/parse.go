package manifest

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	kjson "k8s.io/apimachinery/pkg/util/json"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// parse reads the objects of one file, with variables put in. The objects that are right come back
// beside the errors of the others.
func parse(file string, text []byte, variables map[string]string) ([]Object, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, &Error{Source: Source{File: file}, Message: "is not UTF-8 text"}
	}
	if path.Ext(file) == ".json" {
		return parseJSON(file, text, variables)
	}
	var objs []Object
	var errs []error
	for _, d := range splitDocuments(file, text) {
		value, err := d.decode()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if value == nil {
			continue
		}
		if value, err = d.substitute(value, variables); err != nil {
			errs = append(errs, err)
			continue
		}
		found, err := d.objects(value)
		objs = append(objs, found...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return objs, joinErrors(errs)
}

// document is one document of a file. Its positions count from the start of
// the file.
type document struct {
	file  string
	first int // line of the file that text starts at, from 1
	text  string
	json  bool // only the start is known

	parsed bool // see parseNodes
	node   *kyaml.Node
	wrong  error
}

// splitDocuments cuts a file at its document markers. YAML allows them at the
// start of a line only, also within quotes, so lines are all that counts.
func splitDocuments(file string, text []byte) []*document {
	var documents []*document
	current := &document{file: file, first: 1}
	var b strings.Builder
	flush := func(next int) {
		current.text = b.String()
		if !isBlank(current.text) {
			documents = append(documents, current)
		}
		current = &document{file: file, first: next}
		b.Reset()
	}
	n := 0
	for line := range strings.SplitAfterSeq(string(text), "\n") {
		n++
		switch {
		case isMarker(line, "---"):
			flush(n)
			b.WriteString(line)
		case isMarker(line, "..."):
			flush(n + 1)
		default:
			b.WriteString(line)
		}
	}
	flush(n)
	return documents
}

func isMarker(line, marker string) bool {
	rest, ok := strings.CutPrefix(line, marker)
	return ok && (rest == "" || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// isBlank reports whether a document has nothing but its marker, comments and
// directives.
func isBlank(text string) bool {
	for line := range strings.Lines(text) {
		if isMarker(line, "---") {
			line = line[3:]
		}
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

// decode gives the value that kubectl would see: sigs.k8s.io/yaml decides what
// a scalar means, the nodes tell where it stands. It is nil for a document
// that is empty after all.
func (d *document) decode() (any, error) {
	if len(d.text) > maxDocument {
		return nil, d.errorAt(1, 1, fmt.Sprintf("a document of more than %d MiB", maxDocument>>20), "the API server refuses it; split it")
	}
	if strings.Contains(d.text, "*") { // Or there is no alias.
		if err := d.limitAliases(); err != nil {
			return nil, err
		}
	}
	text, err := yaml.YAMLToJSONStrict([]byte(d.text))
	if err != nil {
		if _, wrong := d.parseNodes(); wrong != nil {
			err = wrong // It knows better where.
		}
		return nil, d.syntaxError(err)
	}
	var value any
	if err := kjson.Unmarshal(text, &value); err != nil {
		return nil, d.errorAt(1, 1, "cannot be read as JSON: "+err.Error(), "")
	}
	return value, nil
}

// parseNodes finds where everything stands. To find it takes as long as to
// read the values, and it is of interest for a document with an error in it and
// few others, so it is done when it is asked for.
func (d *document) parseNodes() (*kyaml.Node, error) {
	if !d.parsed && !d.json {
		var all kyaml.Node
		if d.parsed, d.wrong = true, kyaml.Unmarshal([]byte(d.text), &all); d.wrong == nil && len(all.Content) > 0 {
			d.node = all.Content[0]
		}
	}
	return d.node, d.wrong
}

// root is the document's node, nil when it is not known.
func (d *document) root() *kyaml.Node {
	root, _ := d.parseNodes()
	return root
}

// line is the line of the file where the document's value starts.
func (d *document) line() int {
	n := 0
	for line := range strings.Lines(d.text) {
		n++
		if isMarker(line, "---") {
			line = line[3:]
		}
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != '%' {
			break
		}
	}
	return d.first + max(n, 1) - 1
}

// errorAt is an error at a line and column of the document, from 1.
func (d *document) errorAt(line, column int, message, hint string) *Error {
	return &Error{Source: Source{File: d.file, Line: d.first + line - 1}, Column: column, Message: message, Hint: hint}
}

// errorFor is an error at a node, or at the document's start when nil.
func (d *document) errorFor(n *kyaml.Node, message, hint string) *Error {
	if n == nil {
		n = d.root()
	}
	if n == nil {
		return d.errorAt(1, 1, message, hint)
	}
	return d.errorAt(n.Line, n.Column, message, hint)
}
