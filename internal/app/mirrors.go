package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/forge"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// mirrors are the repositories that lie elsewhere: their secrets, sealed in the
// database, the looks at them, and the webhooks that hasten those.
type mirrors struct {
	store        *store.DB
	keys         *secret.Keyring
	repositories *source.Repositories
	poller       *source.Poller
	moved        func(ctx context.Context, push source.Push) // acts on what has arrived
	now          func() time.Time
	transport    http.RoundTripper // to forges' APIs; nil is the default

	mu    sync.Mutex
	quiet map[string]time.Time // until when a mirror's forge is not to be told anything
}

// hush leaves a mirror's forge in peace until an instant.
func (m *mirrors) hush(name string, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quiet[name] = until
}

// hushed tells whether a mirror's forge is to be left in peace.
func (m *mirrors) hushed(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now().Before(m.quiet[name])
}

var (
	_ server.Mirrors     = (*mirrors)(nil)
	_ source.MirrorStore = (*mirrors)(nil)
	_ forge.Hooks        = (*mirrors)(nil)
	_ forge.Deliveries   = (*store.DB)(nil)
)

// mirrorSecrets are what a copied database must not give away.
type mirrorSecrets struct {
	Username, Password, PrivateKey, KnownHosts string
	Hooks                                      []string // secrets of the webhook, newest first
	StatusToken, StatusAPI                     string
}

func (s mirrorSecrets) credentials() source.Credentials {
	return source.Credentials{Username: s.Username, Password: s.Password, PrivateKey: s.PrivateKey, KnownHosts: s.KnownHosts}
}

func mirrorLabel(name string) string { return "mirror " + name }

// open loads a mirror with its secrets.
func (m *mirrors) open(ctx context.Context, name string) (stored store.Mirror, secrets mirrorSecrets, err error) {
	if stored, err = m.store.Mirror(ctx, name); err != nil {
		return stored, secrets, err
	}
	text, err := m.keys.Unseal(mirrorLabel(name), stored.Sealed)
	if err != nil {
		return stored, secrets, err
	}
	if err := json.Unmarshal(text, &secrets); err != nil {
		return stored, secrets, fmt.Errorf("read secrets of mirror %s: %w", name, err)
	}
	return stored, secrets, nil
}

// List shows the mirrors.
func (m *mirrors) List(ctx context.Context) ([]client.Mirror, error) {
	all, err := m.store.Mirrors(ctx)
	if err != nil {
		return nil, err
	}
	found := []client.Mirror{}
	for _, stored := range all {
		found = append(found, showMirror(stored))
	}
	return found, nil
}

func showMirror(stored store.Mirror) client.Mirror {
	return client.Mirror{
		Name: stored.Name, URL: stored.URL, Forge: stored.Forge, Interval: stored.Interval.String(),
		Looked: stored.LastLook, Error: stored.LastError,
	}
}

// Add makes a mirror, fills it, makes a secret for its webhook, and starts the
// pipelines that watch what it has.
func (m *mirrors) Add(ctx context.Context, req client.MirrorRequest) (client.NewMirror, error) {
	kind := forge.Kind("")
	interval := source.DefaultInterval
	var err error
	if req.Forge != "" {
		if kind, err = forge.ParseKind(req.Forge); err != nil {
			return client.NewMirror{}, &source.Error{Kind: source.ErrInvalid, Message: err.Error()}
		}
	}
	if req.Interval != "" {
		if interval, err = time.ParseDuration(req.Interval); err != nil || interval < source.MinInterval {
			return client.NewMirror{}, &source.Error{Kind: source.ErrInvalid, Message: fmt.Sprintf("%q is no interval", req.Interval), Hint: fmt.Sprintf("write it like 5m, at least %s", source.MinInterval)}
		}
	}
	_, old, err := m.open(ctx, req.Name)
	switch there := err == nil; {
	case there && !req.Replace:
		return client.NewMirror{}, fmt.Errorf("mirror %s: %w: replace it, or choose another name", req.Name, store.ErrExists)
	case !there && !errors.Is(err, store.ErrNotFound):
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
	stored := store.Mirror{Name: req.Name, URL: req.URL, Forge: string(kind), Interval: interval, Created: m.now()}
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
	text, err := json.Marshal(secrets) //nolint:gosec // it is sealed
	if err != nil {
		return client.NewMirror{}, err
	}
	if stored.Sealed, err = m.keys.Seal(mirrorLabel(req.Name), text); err != nil {
		return client.NewMirror{}, err
	}
	if err := m.store.AddMirror(ctx, stored, req.Replace); err != nil {
		return client.NewMirror{}, err
	}
	m.moved(ctx, push)
	m.poller.Wake()
	return client.NewMirror{Mirror: showMirror(stored), Secret: secrets.Hooks[0]}, nil
}

// hookSecret is a secret in the form of Standard Webhooks, which GitLab's signed
// form wants; to the other forges it is a text like any other.
func hookSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	return "whsec_" + base64.StdEncoding.EncodeToString(secret)
}

// Remove forgets where a mirror comes from. What was fetched stays, and can be
// pushed to from then on.
func (m *mirrors) Remove(ctx context.Context, name string) error {
	if _, err := m.store.Mirror(ctx, name); err != nil {
		return err
	}
	// In this order a removal that broke off can be made again.
	if err := m.repositories.ReleaseMirror(ctx, name); err != nil {
		return err
	}
	return m.store.RemoveMirror(ctx, name)
}

// reseal encrypts the secrets of all mirrors with the newest key.
func (m *mirrors) reseal(ctx context.Context) error {
	_, err := m.store.ResealMirrors(ctx, func(name string, sealed []byte) ([]byte, error) {
		text, err := m.keys.Unseal(mirrorLabel(name), sealed)
		if err != nil {
			return nil, err
		}
		return m.keys.Seal(mirrorLabel(name), text)
	})
	return err
}

// DueMirrors lists whose look is due.
func (m *mirrors) DueMirrors(ctx context.Context, now time.Time) ([]string, error) {
	return m.store.DueMirrors(ctx, now)
}

// LoadMirror opens one mirror to look at.
func (m *mirrors) LoadMirror(ctx context.Context, name string) (source.ScheduledMirror, error) {
	stored, secrets, err := m.open(ctx, name)
	if err != nil {
		return source.ScheduledMirror{}, err
	}
	return source.ScheduledMirror{
		Mirror:   source.Mirror{Name: name, URL: stored.URL, Credentials: secrets.credentials()},
		Interval: stored.Interval, Failures: stored.Failures,
	}, nil
}

// MirrorLooked keeps what came of a look.
func (m *mirrors) MirrorLooked(ctx context.Context, name string, look source.Look) error {
	return m.store.MirrorLooked(ctx, name, store.MirrorLook(look))
}

// Hook is the webhook of a mirror.
func (m *mirrors) Hook(ctx context.Context, name string) (forge.Hook, error) {
	stored, secrets, err := m.open(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return forge.Hook{}, forge.ErrNoHook
	}
	return forge.Hook{Forge: forge.Kind(stored.Forge), Secrets: secrets.Hooks, Now: m.now}, err
}

// reporter is who tells a mirror's forge what becomes of its commits.
func (m *mirrors) reporter(stored store.Mirror, secrets mirrorSecrets) (*forge.Reporter, error) {
	remote, err := forge.ParseRemote(stored.URL)
	if err != nil {
		return nil, err
	}
	kind := cmp.Or(forge.Kind(stored.Forge), remote.Guess())
	return forge.NewReporter(forge.ReporterConfig{
		Forge: kind, API: cmp.Or(secrets.StatusAPI, remote.API(kind)), Repository: remote.Repository, Token: secrets.StatusToken, Username: secrets.Username,
		Transport: m.transport,
	})
}

// movedElsewhere acts on what a look at a mirror's remote has found.
func (a *App) movedElsewhere(ctx context.Context, push source.Push) {
	for _, line := range slices.Compact(a.pushed(ctx, push)) {
		a.options.Logger.Info("push to a mirror's remote", "repository", push.Repository, "outcome", line)
	}
}
