// Package sigv4 checks signatures of AWS's Signature Version 4. Its noun is the
// Signature that a request bears, in its Authorization header or, presigned, in
// its query. It stands before every API that AWS's clients are answered by: who
// asks is known once it is checked, and that nothing was changed on the way,
// bodies that come in signed chunks included. It knows neither operations nor
// what a key may do.
package sigv4

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/store"
)

// Kind is in which way a signature is not good. Each API has its own name for
// each kind.
type Kind string

// The kinds.
const (
	Missing    Kind = "missing"    // there is none
	Malformed  Kind = "malformed"  // it cannot be read
	WrongScope Kind = "scope"      // it is good for another service, region or day
	Unsigned   Kind = "unsigned"   // it leaves out what must be signed
	Skewed     Kind = "skewed"     // it was made too early or too late
	Expired    Kind = "expired"    // a presigned request's time is over
	UnknownKey Kind = "unknown"    // there is no such access key
	BadToken   Kind = "token"      // the session's token is not the key's
	OldToken   Kind = "old token"  // the session's time is over
	Mismatch   Kind = "mismatch"   // it is not of this request and this key
	BadPayload Kind = "payload"    // the body is not the one that was signed
	Incomplete Kind = "incomplete" // the body has ended too early
)

// Error is why a request is not let in. The message is AWS's, but that it never
// repeats more than a little of what came.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Message }

func refuse(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Verifier lets requests in whose signature is good. It is safe for concurrent
// use.
type Verifier struct {
	Keys access.Keys
	// Region is the only one that signatures may name, such as eu-west-1. When
	// it is "" they may name any.
	Region string
	Now    func() time.Time
	Logger *slog.Logger
}

// Verified is a request that has been let in.
type Verified struct {
	Key       access.Key
	Signature Signature

	signing []byte // the key that signs chunks
}

// Verify checks all of a request's signature. payload is asked for the digest of
// the body, in hex or one of the words that stand for it, once it is known that
// the key exists. What it returns of Verified is as much as is known; errors are
// *Error, those of payload, and others when it cannot be told.
func (v Verifier) Verify(r *http.Request, service string, payload func() (string, error)) (Verified, error) {
	var known Verified
	s, err := Read(r)
	if err != nil {
		return known, err
	}
	known.Signature = s
	for _, err := range []error{checkSigned(r, s), checkScope(s.Scope, service, v.Region), checkTime(s, v.Now())} {
		if err != nil {
			return known, err
		}
	}
	key, err := v.open(r.Context(), s)
	if err != nil {
		return known, err
	}
	digest, err := payload()
	if err != nil {
		return known, err
	}
	known.signing = signingKey(key.Secret, s.Scope)
	if err := checkSignature(r, s, known.signing, digest); err != nil {
		return known, err
	}
	known.Key = key
	if err := v.Keys.Used(r.Context(), key.ID); err != nil {
		v.Logger.Warn("record the use of an access key", "access_key", key.ID, "error", err)
	}
	return known, nil
}

// open finds the key of a signature. The token of a session is compared before
// anything is told of the session.
func (v Verifier) open(ctx context.Context, s Signature) (access.Key, error) {
	key, err := v.Keys.Key(ctx, s.KeyID)
	if errors.Is(err, store.ErrNotFound) {
		return key, unknownKey()
	}
	if err != nil {
		return key, fmt.Errorf("open access key %s: %w", s.KeyID, err)
	}
	if key.Session == nil {
		if s.Token != "" {
			return key, refuse(BadToken, "The security token included in the request is invalid.")
		}
		return key, nil
	}
	token := sha256.Sum256([]byte(s.Token))
	if subtle.ConstantTimeCompare(token[:], key.Session.Token[:]) != 1 {
		return key, refuse(BadToken, "The security token included in the request is invalid.")
	}
	if !v.Now().Before(key.Session.Expires) {
		return key, refuse(OldToken, "The security token included in the request is expired")
	}
	return key, nil
}

func unknownKey() *Error {
	return refuse(UnknownKey, "The security token included in the request is invalid.")
}
