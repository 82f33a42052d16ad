// Package source is where revisions come from. It keeps bare git repositories,
// serves them over smart HTTP, tells the server of each push, reads commits and
// files, and carries out the Source actions, whose output is the tree of one
// commit as an artifact.
//
// In the flow it comes first: push -> Revision + source artifact -> everything
// else. All packfile work is done by the system's git in child processes with
// an environment of their own; this package only decides which request may
// reach which repository. It does not know who may push (the server in front of
// Handler does), what a pipeline is watching, or how an artifact is stored.
package source

import (
	"errors"
	"fmt"
)

// The kinds of refusal. Each one is wrapped by an *Error, which carries the
// words for the user; test for the kind with errors.Is. ErrNoRepository,
// ErrNoRevision and ErrNoFile are all ErrNotFound as well.
var (
	ErrNotFound     = errors.New("not found")
	ErrNoRepository = fmt.Errorf("repository %w", ErrNotFound)
	ErrNoRevision   = fmt.Errorf("revision %w", ErrNotFound)
	ErrNoFile       = fmt.Errorf("file %w", ErrNotFound)
	ErrExists       = errors.New("exists already")
	ErrInvalid      = errors.New("not valid")
	ErrTooLarge     = errors.New("too large")
)

// Error is a refusal that a user can act upon.
type Error struct {
	Kind    error  // one of the Err variables of this package
	Message string // what is wrong, and where
	Hint    string // how to mend it; may be empty
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }
