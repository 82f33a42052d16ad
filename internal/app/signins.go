package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// signInLasts is how long a browser stays signed in.
const signInLasts = 14 * 24 * time.Hour

// signIns are the people who are signed in to the dashboard: with the admin
// token, or with an access key, whose role they have for as long as it is there.
type signIns struct {
	store *store.DB
	keys  *accessKeys
	admin string // the admin token
	now   func() time.Time
}

var _ server.SignIns = signIns{}

// SignIn makes a session of a credential that is right.
func (s signIns) SignIn(ctx context.Context, req client.SessionRequest) (string, client.Session, error) {
	who, credential, err := s.who(ctx, req.Credential)
	if err != nil {
		return "", client.Session{}, err
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	token := base64.RawURLEncoding.EncodeToString(random)
	digest := sha256.Sum256([]byte(token))
	now := s.now().UTC().Truncate(time.Second)
	who.Name, who.Expires = cmp.Or(strings.TrimSpace(req.Name), who.Name), now.Add(signInLasts)
	err = s.store.AddSignIn(ctx, store.SignIn{Token: digest[:], Name: who.Name, Credential: credential, Created: now, Expires: who.Expires})
	return token, who, err
}

// Check tells whose credential it is, without a session.
func (s signIns) Check(ctx context.Context, credential string) (client.Session, error) {
	who, _, err := s.who(ctx, credential)
	return who, err
}

func (s signIns) who(ctx context.Context, credential string) (who client.Session, kept string, err error) {
	credential = strings.TrimSpace(credential)
	if secret.Same(credential, s.admin) {
		return client.Session{Name: "admin", Role: client.Admin, Owner: true}, s.adminDigest(), nil
	}
	id, given, ok := strings.Cut(credential, ":")
	if !ok || strings.HasPrefix(id, sessionPrefix) {
		return who, "", server.ErrNobody
	}
	key, err := s.keys.Key(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return who, "", server.ErrNobody
	case err != nil:
		return who, "", err
	case !secret.Same(given, key.Secret):
		return who, "", server.ErrNobody
	}
	return client.Session{Name: cmp.Or(key.Note, key.ID), Role: key.Role}, id, s.keys.Used(ctx, id)
}

// Session finds a session again. It is over with its access key, and with the
// admin token that it was made with.
func (s signIns) Session(ctx context.Context, token string) (client.Session, error) {
	digest := sha256.Sum256([]byte(token))
	kept, err := s.store.SignIn(ctx, digest[:])
	if errors.Is(err, store.ErrNotFound) || err == nil && !s.now().Before(kept.Expires) {
		return client.Session{}, server.ErrNobody
	}
	if err != nil {
		return client.Session{}, err
	}
	who := client.Session{Name: kept.Name, Role: client.Admin, Owner: true, Expires: kept.Expires}
	if kept.Credential == s.adminDigest() {
		return who, nil
	}
	key, err := s.keys.Key(ctx, kept.Credential)
	if errors.Is(err, store.ErrNotFound) {
		return client.Session{}, server.ErrNobody
	}
	who.Role, who.Owner = key.Role, false
	return who, err
}

// SignOut ends a session.
func (s signIns) SignOut(ctx context.Context, token string) error {
	digest := sha256.Sum256([]byte(token))
	return s.store.EndSignIn(ctx, digest[:])
}

func (s signIns) adminDigest() string {
	digest := sha256.Sum256([]byte(s.admin))
	return hex.EncodeToString(digest[:])
}
