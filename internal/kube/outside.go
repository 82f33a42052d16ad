package kube

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// What a writer other than Cluster needs so that it behaves as Cluster does.

// Retry repeats do, which must be harmless to repeat and whose errors are as
// client-go's, while the API server is away for a moment (see Transient), for a
// minute at most. Each attempt has a deadline of its own.
func Retry(ctx context.Context, do func(context.Context) error) error { return retry(ctx, do) }

// Explain turns the API server's error about one object into what a user should
// read: an Apply's conflicts into a *ConflictError, a missing right into one
// that names it, and any other into one that names the object.
func (c *Cluster) Explain(ref Ref, err error) error {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if ok && apierrors.IsForbidden(status) {
		if found, ok := readDenial(status.ErrStatus.Message); ok {
			explained := status.ErrStatus
			explained.Message = found.String() + missingRight
			err = &apierrors.StatusError{ErrStatus: explained}
		}
	}
	return c.explain(ref, err)
}

// missingRight is the mend for a missing right.
const missingRight = ": bind its user a Role with that right; `towline cluster test` names all that are missing"

// Warn gives a warning of the API server to whom WithWarnings named.
func Warn(ctx context.Context, text string) {
	if hear, ok := ctx.Value(warningKey{}).(func(string)); ok && text != "" {
		hear(text)
	}
}
