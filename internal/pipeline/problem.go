package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Path    string // of the value, in the form of checks.before[0].timeout
	Message string
	Hint    string // how to mend it
	// Exception is what CodePipeline calls it; "" when it has no word for it.
	Exception Exception
}

// Exception is the name of an error of CodePipeline's API.
type Exception string

// The errors with which CodePipeline refuses a definition.
const (
	InvalidStructure Exception = "InvalidStructureException"
	InvalidStage     Exception = "InvalidStageDeclarationException"
	InvalidAction    Exception = "InvalidActionDeclarationException"
	InvalidValue     Exception = "ValidationException"
)

func (p Problem) String() string { return fmt.Sprintf("%s: %s; %s", p.Path, p.Message, p.Hint) }

// Problems is all that is wrong with a configuration, in the order of its
// fields.
type Problems []Problem

// Exception is the error with which CodePipeline would answer: that of the
// first problem for which it has one, else "".
func (p Problems) Exception() Exception {
	for _, problem := range p {
		if problem.Exception != "" {
			return problem.Exception
		}
	}
	return ""
}

// Error makes problems an error.
func (p Problems) Error() string { return p.String() }

func (p Problems) String() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// finder gathers the problems of one configuration.
type finder struct{ found Problems }

func (f *finder) add(path, hint, format string, args ...any) {
	f.found = append(f.found, Problem{Path: path, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// oneOf wants one of some words, or none.
func (f *finder) oneOf(path, value string, words ...string) {
	if value != "" && !slices.Contains(words, value) {
		last := path[strings.LastIndex(path, ".")+1:]
		f.add(path, "choose "+orList(words), "unknown %s %q", last, value)
	}
}

// orList is "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
