package definition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
)

// Problem is one thing that is wrong with a definition, and how to mend it.
type Problem struct {
	Line    int // from 1
	Column  int // from 1
	Message string
	Hint    string // may be empty
}

func (p Problem) String() string { return p.In(FileName) }

// In is the problem of a file that is not called FileName.
func (p Problem) In(file string) string {
	text := fmt.Sprintf("%s:%d:%d: %s", file, p.Line, p.Column, p.Message)
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// Problems is the error of Parse: all that is wrong, in the file's order.
type Problems []Problem

func (p Problems) Error() string { return p.In(FileName) }

// In is the error of a file that is not called FileName.
func (p Problems) In(file string) string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.In(file)
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p
}

// syntaxProblem takes line and column out of the parser's error and leaves its
// drawing of the place behind.
func syntaxProblem(err error) Problems {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		return Problems{{Line: 1, Column: 1, Message: err.Error()}}
	}
	at := syntax.GetToken().Position
	return Problems{{Line: at.Line, Column: at.Column, Message: syntax.GetMessage()}}
}

// nearest is the candidate most like the word, or "" when none is alike.
func nearest(word string, candidates []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	return best
}
