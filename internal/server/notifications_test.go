package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
)

// notifier tells of what is in a database. It sends nothing but tests.
func notifier(t *testing.T, dir string, db *store.DB) *notify.Notifier {
	t.Helper()
	keys, err := secret.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return notify.New(notify.Config{Store: db, Keys: keys, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
}

func TestNotificationsOverTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	ctx := t.Context()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hooks/the-path" || !strings.HasPrefix(r.Header.Get("Webhook-Signature"), "v1,") {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer receiver.Close()
	made, err := b.api.AddNotification(ctx, "ops", client.NotificationRequest{Kind: "webhook", URL: receiver.URL + "/hooks/the-path", Pipelines: []string{"web*"}, Failed: true})
	if err != nil || !strings.HasPrefix(made.Made, "whsec_") {
		t.Fatalf("made %+v, %v", made, err)
	}
	t.Run("only the admin may touch them", func(t *testing.T) {
		for _, call := range [][2]string{{"GET", ""}, {"PUT", "/x"}, {"DELETE", "/ops"}, {"POST", "/ops/test"}, {"GET", "/dead"}, {"POST", "/ops/redeliver"}} {
			for _, token := range []string{"", tokens.Pull} {
				if got := status(t, call[0], b.url+"/api/v1/notifications"+call[1], token); got != http.StatusUnauthorized {
					t.Errorf("%s /notifications%s with token %q = %d", call[0], call[1], token, got)
				}
			}
		}
	})
	t.Run("they are listed without what is secret", func(t *testing.T) {
		found, err := b.api.Notifications(ctx)
		want := []client.Notification{{
			Name: "ops", To: receiver.URL,
			NotificationRequest: client.NotificationRequest{Kind: "webhook", Pipelines: []string{"web*"}, Events: []string{"pipeline", "stage", "action"}, Failed: true},
		}}
		if diff := cmp.Diff(want, found, cmpopts.IgnoreTypes(time.Time{})); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if text, _ := json.Marshal(found); strings.Contains(string(text), "the-path") || strings.Contains(string(text), made.Made) {
			t.Errorf("listed %s", text)
		}
	})
	t.Run("a test tells whether it arrived", func(t *testing.T) {
		if test, err := b.api.TestNotification(ctx, "ops"); err != nil || !test.Delivered {
			t.Errorf("%+v, %v", test, err)
		}
		if _, err := b.api.AddNotification(ctx, "wrong", client.NotificationRequest{Kind: "slack", URL: receiver.URL + "/other"}); err != nil {
			t.Fatal(err)
		}
		if test, err := b.api.TestNotification(ctx, "wrong"); err != nil || test.Delivered || test.Problem != "it answered 403 Forbidden" {
			t.Errorf("%+v, %v", test, err)
		}
	})
	t.Run("a secret that was given is not given back", func(t *testing.T) {
		made, err := b.api.AddNotification(ctx, "own", client.NotificationRequest{Kind: "webhook", URL: receiver.URL, Secret: made.Made})
		if err != nil || made.Made != "" {
			t.Errorf("%+v, %v", made, err)
		}
	})
	t.Run("what cannot be is refused", func(t *testing.T) {
		for want, bad := range map[string]client.NotificationRequest{
			"url: it is neither http nor https": {Kind: "webhook", URL: "ftp://example.org/the-path"},
			"remove it first":                   {Kind: "slack", URL: receiver.URL},
			"validation failed":                 {Kind: "pager"},
			"there is no kind of event":         {Kind: "slack", URL: receiver.URL, Events: []string{"rule"}},
			"pipelines: ":                       {Kind: "slack", URL: receiver.URL, Pipelines: []string{"["}},
		} {
			_, err := b.api.AddNotification(ctx, "ops", bad)
			if err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "validation failed") || strings.Contains(err.Error(), "the-path") {
				t.Errorf("%+v: %v, want %q", bad, err, want)
			}
		}
	})
	t.Run("nothing is dead, and what is not there is not found", func(t *testing.T) {
		if dead, err := b.api.DeadNotifications(ctx, "", 10); err != nil || len(dead) != 0 {
			t.Errorf("dead %v, %v", dead, err)
		}
		if done, err := b.api.Redeliver(ctx, "ops", 0); err != nil || done.Count != 0 {
			t.Errorf("redelivered %v, %v", done, err)
		}
		_, dead := b.api.DeadNotifications(ctx, "x", 10)
		_, redelivered := b.api.Redeliver(ctx, "x", 0)
		for _, err := range []error{b.api.RemoveNotification(ctx, "x"), dead, redelivered} {
			if err == nil || !strings.Contains(err.Error(), "not found") {
				t.Errorf("error %v", err)
			}
		}
	})
	t.Run("they are removed", func(t *testing.T) {
		if err := b.api.RemoveNotification(ctx, "ops"); err != nil {
			t.Error(err)
		}
	})
}
