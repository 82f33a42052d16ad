package forge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// memory is a Hooks of one webhook, named web, and what it has taken.
type memory struct {
	mu    sync.Mutex
	taken map[string]bool
	fails error
}

func (m *memory) Hook(_ context.Context, name string) (Hook, error) {
	if name != "web" {
		return Hook{}, ErrNoHook
	}
	return Hook{Forge: GitHub, Secrets: []string{secret}}, m.fails
}

// fresh remembers keys, all or none.
func (m *memory) fresh(hook string, keys []string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		if m.taken[hook+k] {
			return false
		}
	}
	for _, k := range keys {
		m.taken[hook+k] = true
	}
	return true
}

// receiver serves a Receiver and returns its address and what it took.
type receiver struct {
	*memory
	url string
	log *bytes.Buffer

	mu     sync.Mutex
	events []Event
	take   error
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{memory: &memory{taken: map[string]bool{}}, log: &bytes.Buffer{}}
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{name}", Receiver{
		Hooks: r.memory, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Take: func(_ context.Context, hook string, e Event) (bool, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.take != nil {
				return false, r.take
			}
			if !r.fresh(hook, e.Keys) {
				return false, nil
			}
			r.events = append(r.events, e)
			return true, nil
		},
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.url = server.URL + "/hooks/"
	return r
}

func (r *receiver) send(t *testing.T, name string, header http.Header, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+name, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(text))
}

func (r *receiver) want(t *testing.T, name string, header http.Header, body []byte, status int, text string) {
	t.Helper()
	if got, answer := r.send(t, name, header, body); got != status || !strings.Contains(answer, text) {
		t.Errorf("got %d %q, want %d %q", got, answer, status, text)
	}
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	push, opened := sample(t, "github-push"), sample(t, "github-pull-opened")
	renamed := func(h http.Header, delivery string) http.Header {
		h.Set("X-Github-Delivery", delivery)
		return h
	}
	t.Run("a message is taken once", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		r.want(t, "web", signed(GitHub, "push", push), push, 200, answerTaken)
		r.want(t, "web", signed(GitHub, "push", push), push, 200, answerDuplicate)
		if len(r.events) != 1 {
			t.Errorf("took %d events", len(r.events))
		}
	})
	t.Run("of copies that arrive together one is taken", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { r.send(t, "web", signed(GitHub, "push", push), push) })
		}
		all.Wait()
		if len(r.events) != 1 {
			t.Errorf("took %d events", len(r.events))
		}
	})
	t.Run("a pull request under another delivery's name is not taken again", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		r.want(t, "web", signed(GitHub, "pull_request", opened), opened, 200, answerTaken)
		r.want(t, "web", renamed(signed(GitHub, "pull_request", opened), "d-2"), opened, 200, answerDuplicate)
	})
	t.Run("a message that could not be kept may be sent again", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		r.take = errors.New("the disk is full")
		r.want(t, "web", signed(GitHub, "push", push), push, 500, "send it again")
		r.take = nil
		r.want(t, "web", signed(GitHub, "push", push), push, 200, answerTaken)
	})
	t.Run("a ping and what is not watched have no effect", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		r.want(t, "web", signed(GitHub, "ping", push), push, 200, answerPing)
		r.want(t, "web", signed(GitHub, "star", push), push, 200, answerOther)
		r.want(t, "web", signed(GitHub, "push", push), push, 200, answerTaken)
	})
	t.Run("nobody can tell an unknown name from a wrong signature", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		forged := signed(GitHub, "push", push)
		forged.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
		_, one := r.send(t, "web", forged, push)
		_, two := r.send(t, "shop", signed(GitHub, "push", push), push)
		if one != two || len(r.events) != 0 {
			t.Errorf("answers %q and %q, %d events", one, two, len(r.events))
		}
		r.want(t, "web", forged, push, 401, answerUnsigned)
		if text := r.log.String(); !strings.Contains(text, "does not fit") || !strings.Contains(text, "no such webhook") || strings.Contains(text, secret) {
			t.Errorf("the log does not tell why, or too much:\n%s", text)
		}
	})
	t.Run("a forged message does not use up the name of a delivery", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		forged := signed(GitHub, "push", push)
		forged.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
		r.want(t, "web", forged, push, 401, "")
		r.want(t, "web", signed(GitHub, "push", push), push, 200, answerTaken)
	})
	t.Run("a large message is refused before it is read whole", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		r.want(t, "web", signed(GitHub, "push", nil), make([]byte, MaxBody+1), 413, "more than")
	})
	t.Run("a fault of ours tells no details", func(t *testing.T) {
		t.Parallel()
		r := receive(t)
		r.fails = errors.New("the database at /var/lib is locked")
		if status, answer := r.send(t, "web", signed(GitHub, "push", push), push); status != 500 || strings.Contains(answer, "database") {
			t.Errorf("%d %q", status, answer)
		}
	})
}
