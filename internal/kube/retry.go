package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// retryFor is how long one request is repeated while the API server restarts
// or is overloaded. It covers the restart of a single control plane node.
const retryFor = 60 * time.Second

// requestTimeout is how long one request may take. Admission webhooks may take
// 30 s by themselves.
const requestTimeout = 40 * time.Second

// retry repeats do, which must be harmless to repeat, while the API server is
// away for a moment. It ends with the context.
func retry(ctx context.Context, do func(context.Context) error) error {
	deadline := time.Now().Add(retryFor)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 3*time.Second) {
		err := once(ctx, do)
		if err == nil || !Transient(err) || time.Now().After(deadline) {
			return err
		}
		// A 500 is as often an admission webhook that stays broken as a
		// moment's trouble, so it is not waited for as long.
		if apierrors.IsInternalError(err) && wait > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
}

// once sends one request under its own deadline.
func once(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer within %s", requestTimeout))
	defer cancel()
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// Transient tells whether an error says nothing about the request, only about
// the moment: the same request may be answered a little later.
func Transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || unlikeSchema(err) {
		return false
	}
	if apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsTimeout(err) || apierrors.IsInternalError(err) {
		return true
	}
	var dial *net.OpError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || utilnet.IsProbableEOF(err) ||
		utilnet.IsHTTP2ConnectionLost(err) || (errors.As(err, &dial) && dial.Timeout())
}

// Refused tells whether the API server understood a request and said no for a
// reason that lies in the request: an invalid object, an admission policy, a
// quota, a missing permission, a conflict.
func Refused(err error) bool {
	var conflict *ConflictError
	var unknown *UnknownKindError
	if errors.As(err, &conflict) || errors.As(err, &unknown) || unlikeSchema(err) {
		return true
	}
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err) || apierrors.IsConflict(err) ||
		apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// unlikeSchema tells that an apply named a field that the kind does not have:
// the API server answers 500 without a reason then.
func unlikeSchema(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && strings.Contains(status.Status().Message, "typed patch object")
}

// IsNotFound tells whether an error says that an object is not there.
func IsNotFound(err error) bool { return apierrors.IsNotFound(err) }
