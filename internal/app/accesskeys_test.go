package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/awsapi"
	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
)

// accessKeysOf are the access keys beside some clusters, and a clock that the
// test sets.
func accessKeysOf(c *clusters) (*accessKeys, *time.Time) {
	now := time.Date(2026, 3, 2, 8, 10, 30, 0, time.UTC)
	return &accessKeys{store: c.store, keys: c.keys, now: func() time.Time { return now }, open: map[string]openKey{}}, &now
}

func TestAccessKeys(t *testing.T) {
	t.Parallel()
	c, dir := clustersOf(t)
	keys, now := accessKeysOf(c)
	ctx := t.Context()
	made, err := keys.Create(ctx, client.Operator, "release desk")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("its parts have AWS's form", func(t *testing.T) {
		if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(made.ID) || !regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(made.Secret) {
			t.Errorf("made %q, and a secret of %d characters", made.ID, len(made.Secret))
		}
	})
	t.Run("it opens with the role it was made for", func(t *testing.T) {
		want := access.Key{ID: made.ID, Secret: made.Secret, Role: client.Operator, Note: "release desk"}
		for range 2 { // the second time from memory
			if got, err := keys.Key(ctx, made.ID); err != nil || got != want {
				t.Errorf("got %v %v", got.ID, err)
			}
		}
	})
	t.Run("its last use is recorded once an hour", func(t *testing.T) {
		for _, minutes := range []int{0, 20, 45} { // 8:10, 8:30, 9:15
			*now = now.Add(time.Duration(minutes) * time.Minute)
			if err := keys.Used(ctx, made.ID); err != nil {
				t.Fatal(err)
			}
			hour := now.Truncate(time.Hour)
			want := []client.AccessKey{{ID: made.ID, Role: client.Operator, Note: "release desk", Created: made.Created, Used: &hour}}
			got, err := keys.List(ctx)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v, keys (-want +got):\n%s", err, diff)
			}
		}
	})
	webhooks := awsWebhooks{store: c.store, keys: c.keys}
	hook := awsapi.Webhook{Name: "push", Path: "p", Pipeline: "web", Authentication: "GITHUB_HMAC", Secret: "the-hidden-secret"}
	if _, err := webhooks.Put(ctx, hook); err != nil {
		t.Fatal(err)
	}
	t.Run("nothing of its secret is in the database's files", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) < 2 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil || strings.Contains(string(text), made.Secret) || strings.Contains(string(text), hook.Secret) {
				t.Errorf("%s holds the secret, or %v", file, err)
			}
		}
	})
	t.Run("it outlives a rotation and the loss of the old key", func(t *testing.T) {
		path := filepath.Join(dir, "keys")
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (sealed{c, []func(context.Context) error{keys.rekey}}).Rekey(ctx); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, after[len(before):], 0o600); err != nil {
			t.Fatal(err)
		}
		ring, err := secret.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		again := &accessKeys{store: c.store, keys: ring, now: time.Now, open: map[string]openKey{}}
		if got, err := again.Key(ctx, made.ID); err != nil || got.Secret != made.Secret {
			t.Errorf("the key is not what it was: %v", err)
		}
		got, err := awsWebhooks{store: c.store, keys: ring}.ByPath(ctx, "p")
		if diff := cmp.Diff(hook, got); err != nil || diff != "" {
			t.Errorf("%v, webhook (-want +got):\n%s", err, diff)
		}
	})
	t.Run("a revoked one is not found", func(t *testing.T) {
		if err := keys.Revoke(ctx, made.ID); err != nil {
			t.Fatal(err)
		}
		_, gone := keys.Key(ctx, made.ID)
		for _, err := range []error{gone, keys.Revoke(ctx, made.ID)} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("error %v", err)
			}
		}
	})
}
