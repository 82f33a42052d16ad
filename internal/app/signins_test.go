package app

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

func TestWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	keyring, err := secret.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return now }
	keys := &accessKeys{store: db, keys: keyring, now: clock, open: map[string]openKey{}}
	visitors := signIns{store: db, keys: keys, admin: "the-admin-token", now: clock}
	key, err := keys.Create(t.Context(), client.Operator, "deck")
	if err != nil {
		t.Fatal(err)
	}

	for _, wrong := range []string{"", "x", "the-admin-tokens", ":", key.ID, key.ID + ":", key.ID + ":" + key.Secret + "x", "AKIANONE:" + key.Secret, "ASIANONE:x"} {
		if _, _, err := visitors.SignIn(t.Context(), client.SessionRequest{Credential: wrong}); !errors.Is(err, server.ErrNobody) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	admin, _, err := visitors.SignIn(t.Context(), client.SessionRequest{Credential: " the-admin-token\n", Name: "Grace"})
	if err != nil {
		t.Fatal(err)
	}
	operator, _, err := visitors.SignIn(t.Context(), client.SessionRequest{Credential: key.ID + ":" + key.Secret})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := visitors.Session(t.Context(), "not one"); !errors.Is(err, server.ErrNobody) {
		t.Error(who, err)
	}
	expires := now.Add(signInLasts)
	for token, want := range map[string]client.Session{
		admin:    {Name: "Grace", Role: client.Admin, Owner: true, Expires: expires},
		operator: {Name: "deck", Role: client.Operator, Expires: expires},
	} {
		got, err := visitors.Session(t.Context(), token)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}

	t.Run("a session is over with its access key", func(t *testing.T) {
		if err := keys.Revoke(t.Context(), key.ID); err != nil {
			t.Fatal(err)
		}
		if who, err := visitors.Session(t.Context(), operator); !errors.Is(err, server.ErrNobody) {
			t.Error(who, err)
		}
	})
	t.Run("with the admin token that it was made with", func(t *testing.T) {
		changed := visitors
		changed.admin = "another-token"
		if who, err := changed.Session(t.Context(), admin); !errors.Is(err, server.ErrNobody) {
			t.Error(who, err)
		}
	})
	t.Run("when its time has come", func(t *testing.T) {
		later := visitors
		later.now = func() time.Time { return expires }
		if who, err := later.Session(t.Context(), admin); !errors.Is(err, server.ErrNobody) {
			t.Error(who, err)
		}
	})
	t.Run("and when somebody signs out", func(t *testing.T) {
		if err := visitors.SignOut(t.Context(), admin); err != nil {
			t.Fatal(err)
		}
		if who, err := visitors.Session(t.Context(), admin); !errors.Is(err, server.ErrNobody) {
			t.Error(who, err)
		}
	})
}
