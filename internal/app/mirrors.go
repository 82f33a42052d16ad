package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
	pushers      pushers           // whom the webhooks have named

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
