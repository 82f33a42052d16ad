package manifest

import (
	"fmt"
	"strings"
)

// Error is something in the user's files, or in what the user asks of them,
// that must be mended there: the outcome Failed. Any other error of this room
// means that the files could not be read: Faulted. Several come joined.
type Error struct {
	Source  Source
	Column  int    // from 1; 0 when it is not known
	Message string // what is wrong
	Hint    string // how to mend it; may be empty
}

// Error is "k8s/web.yaml:3:5: unknown field "imags": did you mean "images"?".
func (e *Error) Error() string {
	var b strings.Builder
	if s := e.Source.String(); s != "" {
		b.WriteString(s)
		if e.Column > 0 && e.Source.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Column)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	return b.String()
}
