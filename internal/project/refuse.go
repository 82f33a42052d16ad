package project

import (
	"errors"
	"fmt"

	"github.com/towline/towline/internal/store"
)

// The kinds of refusal, beside store.ErrNotFound and store.ErrExists. Each one
// is wrapped by an *Error; test for the kind with errors.Is.
var (
	ErrInvalid  = errors.New("not valid")
	ErrTooMany  = errors.New("too many")
	ErrNotFound = store.ErrNotFound
	ErrExists   = store.ErrExists
)

// Error is a refusal that a user can act upon: it says what is wrong, where and
// how to mend it.
type Error struct {
	Kind    error
	Message string
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// Refuse makes a refusal.
func Refuse(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}
