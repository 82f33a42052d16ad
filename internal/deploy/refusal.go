package deploy

import (
	"errors"
	"fmt"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// refusal is an error that lies in what is deployed, not in the deploying: the
// outcome is Failed and not Faulted.
type refusal struct {
	message  string
	deadline bool // nothing said no, but the time is over
}

func (r *refusal) Error() string { return r.message }

func refuse(format string, args ...any) error { return &refusal{message: fmt.Sprintf(format, args...)} }

func isRefusal(err error) bool {
	var r *refusal
	var m *manifest.Error
	return errors.As(err, &r) || errors.As(err, &m)
}

// refusedOr turns an API error into a refusal when the API server said no, and
// leaves it as it is when the server could not be asked.
func refusedOr(err error, format string, args ...any) error {
	if kube.Refused(err) {
		return refuse(format, args...)
	}
	return err
}

// withCause puts the reason why a context ended before what was interrupted by
// it, which often says more ("1/3 new pods ready").
func withCause(err, cause error) error {
	if errors.Is(err, cause) || !isRefusal(cause) {
		return err
	}
	if isRefusal(err) {
		return refuse("%v: %v", cause, err)
	}
	return cause
}
