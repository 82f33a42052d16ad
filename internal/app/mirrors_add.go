package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/forge"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// Add makes a mirror, fills it, makes a secret for its webhook, and starts the
// pipelines that watch what its branches have.
func (m *mirrors) Add(ctx context.Context, req client.MirrorRequest) (client.NewMirror, error) {
	return m.add(ctx, req, false)
}

// add is Add, also of a mirror that nobody has asked for (store.Mirror).
func (m *mirrors) add(ctx context.Context, req client.MirrorRequest, sourceOnly bool) (client.NewMirror, error) {
	was, old, err := m.open(ctx, req.Name)
	switch there := err == nil; {
	case there && !req.Replace:
		return client.NewMirror{}, fmt.Errorf("mirror %s: %w: replace it, or choose another name", req.Name, store.ErrExists)
	case there:
		req = m.complete(req, was, old)
	case !errors.Is(err, store.ErrNotFound):
		return client.NewMirror{}, err
	}
	stored := store.Mirror{Name: req.Name, URL: req.URL, SourceOnly: sourceOnly, Created: m.now()}
	if stored.Forge, stored.Interval, err = readMirrorRequest(req); err != nil {
		return client.NewMirror{}, err
	}
	secrets := mirrorSecrets{
		Username: req.Username, Password: req.Password, PrivateKey: req.PrivateKey, KnownHosts: req.KnownHosts,
		Hooks: []string{hookSecret()}, StatusToken: req.StatusToken, StatusAPI: req.StatusAPI,
	}
	if len(old.Hooks) > 0 {
		// The forge goes on with the old one until somebody has entered the new.
		secrets.Hooks = append(secrets.Hooks, old.Hooks[0])
	}
	if secrets.StatusToken != "" {
		if _, err := m.reporter(stored, secrets); err != nil {
			return client.NewMirror{}, &source.Error{Kind: source.ErrInvalid, Message: err.Error()}
		}
	}
	fill := m.repositories.AddMirror
	if _, there := m.repositories.MirrorOf(req.Name); there {
		fill = m.repositories.UpdateMirror // of another address perhaps
	}
	push, err := fill(ctx, source.Mirror{Name: req.Name, URL: req.URL, Credentials: secrets.credentials()})
	if err != nil {
		return client.NewMirror{}, err
	}
	if err := m.keep(ctx, stored, secrets, req.Replace); err != nil {
		return client.NewMirror{}, err
	}
	m.moved(ctx, push)
	m.poller.Wake()
	return client.NewMirror{Mirror: showMirror(stored), Secret: secrets.Hooks[0]}, nil
}

// keep seals the secrets of a mirror and stores it.
func (m *mirrors) keep(ctx context.Context, stored store.Mirror, secrets mirrorSecrets, replace bool) error {
	text, err := json.Marshal(secrets) //nolint:gosec // it is sealed
	if err != nil {
		return err
	}
	if stored.Sealed, err = m.keys.Seal(mirrorLabel(stored.Name), text); err != nil {
		return err
	}
	return m.store.AddMirror(ctx, stored, replace)
}

// complete fills in what a request leaves out about a mirror that there is. What
// is secret goes to the server that it was given for, and to no other.
func (m *mirrors) complete(req client.MirrorRequest, was store.Mirror, secrets mirrorSecrets) client.MirrorRequest {
	req.Interval = cmp.Or(req.Interval, was.Interval.String())
	if !m.repositories.SameServer(req.URL, was.URL) {
		return req
	}
	req.Forge = cmp.Or(req.Forge, was.Forge)
	req.Username, req.Password = cmp.Or(req.Username, secrets.Username), cmp.Or(req.Password, secrets.Password)
	req.PrivateKey, req.KnownHosts = cmp.Or(req.PrivateKey, secrets.PrivateKey), cmp.Or(req.KnownHosts, secrets.KnownHosts)
	if req.StatusAPI == "" || req.StatusAPI == secrets.StatusAPI {
		req.StatusAPI, req.StatusToken = secrets.StatusAPI, cmp.Or(req.StatusToken, secrets.StatusToken)
	}
	return req
}

// readMirrorRequest reads what is written in words.
func readMirrorRequest(req client.MirrorRequest) (kind string, interval time.Duration, err error) {
	if req.Forge != "" {
		read, err := forge.ParseKind(req.Forge)
		if err != nil {
			return "", 0, &source.Error{Kind: source.ErrInvalid, Message: err.Error()}
		}
		kind = string(read)
	}
	if req.Interval == "" {
		return kind, source.DefaultInterval, nil
	}
	interval, err = time.ParseDuration(req.Interval)
	if err != nil || interval < source.MinInterval {
		return "", 0, &source.Error{Kind: source.ErrInvalid, Message: fmt.Sprintf("%q is no interval", req.Interval), Hint: fmt.Sprintf("write it like 5m, at least %s", source.MinInterval)}
	}
	return kind, interval, nil
}

// hookSecret is a secret in the form of Standard Webhooks, which GitLab's signed
// form wants; to the other forges it is a text like any other.
func hookSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	return "whsec_" + base64.StdEncoding.EncodeToString(secret)
}
