// Package refusal is the error that lies in what is deployed and not in the
// deploying: an image that cannot be pulled, an object that the API server does
// not take, a loss beyond the budget. A deployment that ends with one is Failed
// and is reverted; one that ends with any other error is Faulted and can be
// taken up again.
package refusal

import (
	"errors"
	"fmt"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// refused is the error. Its text is for the user.
type refused struct {
	message  string
	deadline bool // nothing said no, but the time is over
	cause    error
}

// Error is the text.
func (r *refused) Error() string { return r.message }

// Unwrap is what Because has put before the text.
func (r *refused) Unwrap() error { return r.cause }

// New is a refusal. The text says what is wrong, where, and how to mend it.
func New(format string, args ...any) error { return &refused{message: fmt.Sprintf(format, args...)} }

// Deadline is the refusal of something that nothing has said no to, but whose
// time is over.
func Deadline(format string, args ...any) error {
	return &refused{message: fmt.Sprintf(format, args...), deadline: true}
}

// Is tells whether err, or what it wraps, is a refusal. Manifests that cannot
// be read are one.
func Is(err error) bool {
	if _, ok := errors.AsType[*refused](err); ok {
		return true
	}
	_, ok := errors.AsType[*manifest.Error](err)
	return ok
}

// IsDeadline tells whether err is a refusal by Deadline.
func IsDeadline(err error) bool {
	r, ok := errors.AsType[*refused](err)
	return ok && (r.deadline || IsDeadline(r.cause))
}

// Or turns an API error into a refusal when the API server said no, and leaves
// it as it is when the server could not be asked.
func Or(err error, format string, args ...any) error {
	if kube.Refused(err) {
		return New(format, args...)
	}
	return err
}

// Because puts the reason why a context ended before what was interrupted by
// it, which often says more ("1/3 new pods ready").
func Because(err, cause error) error {
	if errors.Is(err, cause) || !Is(cause) {
		return err
	}
	if Is(err) {
		return &refused{message: fmt.Sprintf("%v: %v", cause, err), cause: cause}
	}
	return cause
}
