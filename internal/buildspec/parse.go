package buildspec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// largest bounds a buildspec file. Real ones have a few kilobytes.
const largest = 1 << 20

// Parse reads the text of a buildspec; file is its name in what Parse says. Any
// number of Problems, joined, is the error. Keys that buildspec.yml does not
// have, and those that have no meaning here, are warnings of the Spec.
func Parse(file string, text []byte) (Spec, error) {
	r := reader{file: file, anchors: map[string]ast.Node{}}
	if len(text) > largest {
		return Spec{}, Problem{File: file, Line: 1, Column: 1, Message: "the file is larger than 1 MB"}
	}
	root, err := r.load(text)
	if err != nil {
		return Spec{}, err
	}
	spec := r.spec(root)
	if len(r.problems) > 0 {
		return Spec{}, r.err()
	}
	slices.SortStableFunc(r.warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	spec.Warnings = r.warnings
	return spec, nil
}

// reader walks the syntax tree and keeps what there is to say about it.
type reader struct {
	file     string
	anchors  map[string]ast.Node
	problems []Problem
	warnings []Warning
}

// load parses the text. The parser is known to panic on odd input, which is no
// reason to end the server.
func (r *reader) load(text []byte) (root ast.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Problem{File: r.file, Line: 1, Column: 1, Message: fmt.Sprintf("the file is not YAML that can be read: %v", p)}
		}
	}()
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			at := syntax.GetToken().Position
			return nil, Problem{File: r.file, Line: at.Line, Column: at.Column, Message: syntax.GetMessage()}
		}
		return nil, Problem{File: r.file, Line: 1, Column: 1, Message: err.Error()}
	}
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if root != nil {
			r.problem(d.Body, "keep one", "the file holds more than one document")
			return nil, r.err()
		}
		root = d.Body
	}
	if root == nil {
		return nil, Problem{File: r.file, Line: 1, Column: 1, Message: "the file is empty", Hint: `begin with "version: 0.2" and "phases:"`}
	}
	ast.Walk(r, root)
	return root, nil
}

// Visit collects the anchors, for the aliases that use them.
func (r *reader) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		r.anchors[a.Name.GetToken().Value] = a.Value
	}
	return r
}

func (r *reader) err() error {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(r.problems))
	for i, p := range r.problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

func (r *reader) problem(at ast.Node, hint, format string, args ...any) {
	line, column := position(at)
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reader) warn(at ast.Node, format string, args ...any) {
	line, column := position(at)
	r.warnings = append(r.warnings, Warning{Line: line, Column: column, Message: fmt.Sprintf(format, args...)})
}

// unknown warns of a key that buildspec.yml does not have.
func (r *reader) unknown(e entry, path string, valid []string) {
	text := fmt.Sprintf("buildspec has no key %q", path+e.key)
	if best := nearest(e.key, valid); best != "" {
		text += fmt.Sprintf("; did you mean %q?", best)
	} else if place := places[e.key]; place != "" {
		text += "; it belongs to " + place
	}
	r.warn(e.at, "%s", text)
}

// meaningless warns of a key that has no effect here.
func (r *reader) meaningless(e entry, path, instead string) {
	r.warn(e.at, "%s%s has no meaning here: %s", path, e.key, instead)
}

func position(n ast.Node) (line, column int) {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1, 1
	}
	// A mapping's own token is the colon behind its first key.
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return position(m.Values[0])
		}
	case *ast.MappingValueNode:
		return position(m.Key)
	}
	p := n.GetToken().Position
	return p.Line, p.Column
}

// nearest is the candidate most like the word, or "" when none is alike.
func nearest(word string, candidates []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), c); d < distance {
			best, distance = c, d
		}
	}
	return best
}
