package source

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/forge"
	"github.com/towline/towline/internal/store"
)

// hub is what the app makes of the database: the mirrors, with secrets that
// are not sealed here, and their webhooks.
type hub struct {
	db     *store.DB
	mirror Mirror
}

var (
	_ MirrorStore = hub{}
	_ forge.Hooks = hub{}
)

func (h hub) DueMirrors(ctx context.Context, now time.Time) ([]string, error) {
	return h.db.DueMirrors(ctx, now)
}

func (h hub) LoadMirror(ctx context.Context, name string) (ScheduledMirror, error) {
	m, err := h.db.Mirror(ctx, name)
	return ScheduledMirror{Mirror: h.mirror, Interval: m.Interval, Failures: m.Failures}, err
}

func (h hub) MirrorLooked(ctx context.Context, name string, l Look) error {
	return h.db.MirrorLooked(ctx, name, store.MirrorLook(l))
}

func (h hub) Hook(_ context.Context, name string) (forge.Hook, error) {
	if name != h.mirror.Name {
		return forge.Hook{}, forge.ErrNoHook
	}
	return forge.Hook{Forge: forge.GitHub, Secrets: []string{"horse"}}, nil
}

// The whole way, with nothing played but the forge's message: a push to a
// server elsewhere, its webhook, the database, a fetch over HTTP.
func TestAWebhookLeadsToAFetch(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f, n := farAway(t), near(t, nil)
	c := work(t, f.create(t, "web"))
	c.git("push", "origin", "main")
	must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
	db := must[*store.DB](t)(store.Open(ctx, t.TempDir()))
	t.Cleanup(func() { db.Close() })
	h := hub{db: db, mirror: f.mirror("web")}
	// Only the webhook can be what has it look in time.
	if err := db.AddMirror(ctx, store.Mirror{Name: "web", URL: h.mirror.URL, Forge: "github", Sealed: []byte{1}, Interval: time.Hour, Created: time.Now().Add(time.Hour)}, false); err != nil {
		t.Fatal(err)
	}
	moved := make(chan Push, 10)
	poller := NewPoller(PollConfig{Update: n.UpdateMirror, Mirrors: h, Every: time.Hour, Moved: func(_ context.Context, p Push) { moved <- p }})
	polling, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		poller.Poll(polling)
		close(ended)
	}()
	defer func() {
		stop()
		<-ended
	}()
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{name}", forge.Receiver{Hooks: h, Logger: slog.New(slog.DiscardHandler),
		Take: func(ctx context.Context, name string, event forge.Event) (bool, error) {
			defer poller.Wake()
			err := db.Update(ctx, func(q store.Querier) error {
				if err := store.TakeDelivery(ctx, q, name, event.Keys, time.Now()); err != nil {
					return err
				}
				return store.HastenMirror(ctx, q, name, time.Now())
			})
			if errors.Is(err, store.ErrTaken) {
				return false, nil
			}
			return err == nil, err
		}})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)

	want := c.commit("a", "1", "Second")
	c.git("push", "origin", "main")
	body := fmt.Appendf(nil, `{"ref": "refs/heads/main", "before": %q, "after": %q, "repository": {"full_name": "acme/web"}}`, c.git("rev-parse", "HEAD~1"), want)
	mac := hmac.New(sha256.New, []byte("horse"))
	mac.Write(body)
	for _, answer := range []string{"taken\n", "nothing to do: this message has been taken before\n"} {
		req := must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodPost, web.URL+"/hooks/web", bytes.NewReader(body)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Github-Event", "push")
		req.Header.Set("X-Github-Delivery", "1")
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		res := must[*http.Response](t)(http.DefaultClient.Do(req))
		text := must[[]byte](t)(io.ReadAll(res.Body))
		res.Body.Close()
		if res.StatusCode != http.StatusOK || string(text) != answer {
			t.Errorf("answer %d %q", res.StatusCode, text)
		}
	}
	select {
	case push := <-moved:
		if diff := cmp.Diff([]Update{{Ref: "refs/heads/main", Old: c.git("rev-parse", "HEAD~1"), New: want}}, push.Updates); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the push was not fetched within 30 s")
	}
}
