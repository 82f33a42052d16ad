package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/store"
)

// sealing seals a value so that the test can read it.
func sealing(value string) func(int) ([]byte, error) {
	return func(version int) ([]byte, error) { return fmt.Appendf(nil, "%s %d", value, version), nil }
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	ctx := t.Context()
	change := func(c store.SecretChange) store.Secret {
		t.Helper()
		changed, err := db.ChangeSecret(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	t.Run("a new one is for everybody", func(t *testing.T) {
		want := store.Secret{Name: "/web/db", Users: []string{"*"}, Version: 1, Created: monday, Updated: monday}
		if diff := cmp.Diff(want, change(store.SecretChange{Name: "/web/db", Seal: sealing("a"), Now: monday})); diff != "" {
			t.Error("(-want +got)\n", diff)
		}
	})
	t.Run("a second value is a second version, and both are kept", func(t *testing.T) {
		change(store.SecretChange{Name: "/web/db", Users: []string{"web", "api-*"}, Seal: sealing("b"), Now: tuesday})
		s, versions, err := open(t, dir).SecretVersions(ctx, "/web/db")
		want := store.Secret{Name: "/web/db", Users: []string{"web", "api-*"}, Version: 2, Created: monday, Updated: tuesday}
		if diff := cmp.Diff(want, s); err != nil || diff != "" {
			t.Error(err, "(-want +got)\n", diff)
		}
		if diff := cmp.Diff([]store.SecretVersion{
			{Name: "/web/db", Version: 2, Sealed: []byte("b 2"), Created: tuesday},
			{Name: "/web/db", Version: 1, Sealed: []byte("a 1"), Created: monday},
		}, versions); diff != "" {
			t.Error("(-want +got)\n", diff)
		}
	})
	t.Run("who may use it changes alone", func(t *testing.T) {
		got := change(store.SecretChange{Name: "/web/db", Users: []string{"web"}, Now: tuesday.AddDate(0, 0, 1)})
		if diff := cmp.Diff(store.Secret{Name: "/web/db", Users: []string{"web"}, Version: 2, Created: monday, Updated: tuesday}, got); diff != "" {
			t.Error("(-want +got)\n", diff)
		}
		if _, err := db.ChangeSecret(ctx, store.SecretChange{Name: "none", Users: []string{"web"}, Now: monday}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of none: %v", err)
		}
	})
	t.Run("what cannot be sealed changes nothing", func(t *testing.T) {
		boom := errors.New("boom")
		_, err := db.ChangeSecret(ctx, store.SecretChange{Name: "new", Seal: func(int) ([]byte, error) { return nil, boom }, Now: monday})
		all, listing := db.Secrets(ctx)
		if !errors.Is(err, boom) || listing != nil || len(all) != 1 {
			t.Errorf("%v, then %v: %v", err, listing, all)
		}
	})
	t.Run("old versions are forgotten", func(t *testing.T) {
		for i := range 15 {
			change(store.SecretChange{Name: "often", Seal: sealing("x"), Now: monday.Add(time.Duration(i) * time.Hour)})
		}
		s, versions, err := db.SecretVersions(ctx, "often")
		if err != nil || s.Version != 15 || len(versions) != 10 || versions[9].Version != 6 {
			t.Errorf("%v: version %d, kept %v", err, s.Version, versions)
		}
	})
	t.Run("all are sealed anew or none", func(t *testing.T) {
		boom := errors.New("boom")
		if err := db.ResealSecrets(ctx, func(v store.SecretVersion) ([]byte, error) {
			if v.Name == "often" {
				return nil, boom
			}
			return []byte("lost"), nil
		}); !errors.Is(err, boom) {
			t.Error(err)
		}
		if err := db.ResealSecrets(ctx, func(v store.SecretVersion) ([]byte, error) { return append([]byte("new "), v.Sealed...), nil }); err != nil {
			t.Error(err)
		}
		if _, versions, err := db.SecretVersions(ctx, "/web/db"); err != nil || string(versions[1].Sealed) != "new a 1" {
			t.Errorf("%v, %q", err, versions[1].Sealed)
		}
	})
	t.Run("a removed one is gone with its versions", func(t *testing.T) {
		if err := db.RemoveSecret(ctx, "often"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := db.SecretVersions(ctx, "often"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if err := db.RemoveSecret(ctx, "often"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if again := change(store.SecretChange{Name: "often", Seal: sealing("x"), Now: monday}); again.Version != 1 {
			t.Errorf("made again it has version %d", again.Version)
		}
	})
}
