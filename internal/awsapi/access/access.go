// Package access says who asks through AWS's APIs and what they may do. Its
// noun is the Key, an access key that is opened: one that people have made, with
// a role, or one of a Session, which is good for a while and for the few things
// in its Scope. Signatures are checked with keys (sigv4), and operations are
// held against them (wire, s3). It knows neither requests nor how keys are kept.
package access

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/towline/towline/internal/client"
)

// Key is an access key, opened.
type Key struct {
	ID     string
	Secret string
	Role   client.Role // "" for the key of a session
	Note   string      // what it is for
	// Session is what bounds a temporary key, nil for a lasting one.
	Session *Session
}

// Keys are the access keys that may sign.
type Keys interface {
	// Key opens one. The error wraps store.ErrNotFound when there is none. It
	// is called for each request, so that a key which is revoked is so at once.
	Key(ctx context.Context, id string) (Key, error)
	// Used records that a request with the key has been let in.
	Used(ctx context.Context, id string) error
}

// Session is what a temporary key is bound to.
type Session struct {
	Token   [sha256.Size]byte // the digest of the token that comes with each request
	Expires time.Time
	Scope   Scope
}

// Scope is what the holder of a session may do, and nothing else.
type Scope struct {
	// Job is the id of the job whose result may be put, "" for none.
	Job    string   `json:"job,omitempty"`
	Reads  []Object `json:"reads,omitempty"`
	Writes []Object `json:"writes,omitempty"` // may be read too
}

// Object is the place of an object.
type Object struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// MayRead tells whether an object may be read.
func (s Scope) MayRead(o Object) bool { return slices.Contains(s.Reads, o) || s.MayWrite(o) }

// MayWrite tells whether an object may be written.
func (s Scope) MayWrite(o Object) bool { return slices.Contains(s.Writes, o) }

// Credentials are those of a session, as its holder gets them, once.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expires         time.Time
}

// Sessions makes temporary keys.
type Sessions interface {
	// Issue makes credentials that are good for the scope and for the time.
	Issue(ctx context.Context, scope Scope, lasting time.Duration) (Credentials, error)
	// End makes the credentials of a job good for nothing.
	End(ctx context.Context, job string) error
}
