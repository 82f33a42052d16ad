package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
)

// sessionPrefix begins the ids of temporary access keys, as AWS's do.
const sessionPrefix = "ASIA"

// sessions are temporary access keys of those who work on a job. Their secrets
// lie in the database sealed, and of their tokens a digest.
type sessions struct {
	store *store.DB
	keys  *secret.Keyring
	now   func() time.Time
}

var _ access.Sessions = sessions{}

func sessionLabel(id string) string { return "session " + id }

// Issue makes credentials that are good for the scope and for the time.
func (s sessions) Issue(ctx context.Context, scope access.Scope, lasting time.Duration) (access.Credentials, error) {
	secretText, token := make([]byte, 30), make([]byte, 48)
	_, _ = rand.Read(secretText)
	_, _ = rand.Read(token)
	now := s.now().UTC()
	c := access.Credentials{
		AccessKeyID: sessionPrefix + rand.Text()[:16], SecretAccessKey: base64.StdEncoding.EncodeToString(secretText),
		SessionToken: base64.StdEncoding.EncodeToString(token), Expires: now.Add(lasting).Truncate(time.Second),
	}
	sealed, err := s.keys.Seal(sessionLabel(c.AccessKeyID), []byte(c.SecretAccessKey))
	if err != nil {
		return access.Credentials{}, err
	}
	text, err := json.Marshal(scope)
	if err != nil {
		return access.Credentials{}, fmt.Errorf("encode the scope of session %s: %w", c.AccessKeyID, err)
	}
	digest := sha256.Sum256([]byte(c.SessionToken))
	err = s.store.AddSession(ctx, store.Session{ID: c.AccessKeyID, Sealed: sealed, Token: digest[:], Job: scope.Job, Scope: text, Expires: c.Expires}, now)
	if err != nil {
		return access.Credentials{}, err
	}
	return c, nil
}

// End makes the credentials of a job good for nothing.
func (s sessions) End(ctx context.Context, job string) error { return s.store.EndSessions(ctx, job) }

// Key opens a temporary access key.
func (s sessions) Key(ctx context.Context, id string) (access.Key, error) {
	stored, err := s.store.Session(ctx, id)
	if err != nil {
		return access.Key{}, err
	}
	text, err := s.keys.Unseal(sessionLabel(id), stored.Sealed)
	if err != nil {
		return access.Key{}, err
	}
	session := &access.Session{Expires: stored.Expires}
	copy(session.Token[:], stored.Token)
	if err := json.Unmarshal(stored.Scope, &session.Scope); err != nil {
		return access.Key{}, fmt.Errorf("read the scope of session %s: %w", id, err)
	}
	return access.Key{ID: id, Secret: string(text), Note: "job " + stored.Job, Session: session}, nil
}

func (s sessions) rekey(ctx context.Context) error {
	return s.store.ResealSessions(ctx, func(id string, sealed []byte) ([]byte, error) {
		text, err := s.keys.Unseal(sessionLabel(id), sealed)
		if err != nil {
			return nil, err
		}
		return s.keys.Seal(sessionLabel(id), text)
	})
}

// signers are all keys that may sign: those that people have made, and those of
// sessions.
type signers struct {
	lasting  *accessKeys
	sessions sessions
}

var _ access.Keys = signers{}

// Key opens a key that signs a request.
func (s signers) Key(ctx context.Context, id string) (access.Key, error) {
	if strings.HasPrefix(id, sessionPrefix) {
		return s.sessions.Key(ctx, id)
	}
	return s.lasting.Key(ctx, id)
}

// Used records the use of a lasting key.
func (s signers) Used(ctx context.Context, id string) error {
	if strings.HasPrefix(id, sessionPrefix) {
		return nil
	}
	return s.lasting.Used(ctx, id)
}

func (a *App) sessions() sessions {
	return sessions{store: a.store, keys: a.accessKeys.keys, now: time.Now}
}

func (a *App) signers() signers { return signers{a.accessKeys, a.sessions()} }
