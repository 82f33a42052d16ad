package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// fakeAccessKeys makes keys that are not kept.
type fakeAccessKeys struct{}

var _ server.AccessKeys = fakeAccessKeys{}

var madeKey = client.AccessKey{ID: "AKIAQ3EGWQ7XJH2N5K6M", Role: client.Viewer, Created: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}

func (fakeAccessKeys) List(context.Context) ([]client.AccessKey, error) {
	return []client.AccessKey{madeKey}, nil
}

func (fakeAccessKeys) Create(_ context.Context, role client.Role, note string) (client.NewAccessKey, error) {
	made := client.NewAccessKey{AccessKey: madeKey, Secret: "the-secret"}
	made.Role, made.Note = role, note
	return made, nil
}

func (fakeAccessKeys) Revoke(_ context.Context, id string) error {
	if id == madeKey.ID {
		return nil
	}
	return fmt.Errorf("access key %s: %w", id, store.ErrNotFound)
}

func TestAccessKeysOverTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	ctx := t.Context()
	t.Run("only the admin may touch them", func(t *testing.T) {
		t.Parallel()
		for _, call := range [][2]string{{"GET", ""}, {"POST", ""}, {"DELETE", "/x"}} {
			for _, token := range []string{"", tokens.Pull} {
				if got := status(t, call[0], b.url+"/api/v1/access-keys"+call[1], token); got != http.StatusUnauthorized {
					t.Errorf("%s /access-keys%s with token %q = %d", call[0], call[1], token, got)
				}
			}
		}
	})
	t.Run("one is made for the least role that is asked for", func(t *testing.T) {
		t.Parallel()
		for asked, want := range map[client.Role]client.Role{"": client.Viewer, client.Admin: client.Admin} {
			made, err := b.api.CreateAccessKey(ctx, client.AccessKeyRequest{Role: asked, Note: "n"})
			if err != nil || made.Role != want || made.Note != "n" || made.Secret != "the-secret" {
				t.Errorf("asked for %q, got %q %v", asked, made.Role, err)
			}
		}
	})
	t.Run("they are listed and revoked", func(t *testing.T) {
		t.Parallel()
		found, err := b.api.AccessKeys(ctx)
		if diff := cmp.Diff([]client.AccessKey{madeKey}, found); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if err := b.api.RevokeAccessKey(ctx, madeKey.ID); err != nil {
			t.Error(err)
		}
		if err := b.api.RevokeAccessKey(ctx, "AKIANONE"); err == nil || !strings.Contains(err.Error(), "not found") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a role or a note that cannot be is refused", func(t *testing.T) {
		t.Parallel()
		for _, bad := range []client.AccessKeyRequest{{Role: "root"}, {Note: strings.Repeat("n", 201)}} {
			if _, err := b.api.CreateAccessKey(ctx, bad); err == nil || !strings.Contains(err.Error(), "validation failed") {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
	t.Run("AWS's clients are answered at the root of the port, their webhooks below it", func(t *testing.T) {
		t.Parallel()
		for path, want := range map[string]int{"/": http.StatusTeapot, "/hooks/aws/x": http.StatusTeapot, "/x": http.StatusNotFound} {
			if got := status(t, "POST", b.url+path, ""); got != want {
				t.Errorf("POST %s = %d, want %d", path, got, want)
			}
		}
	})
}
