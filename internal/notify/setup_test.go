package notify_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

// patience bounds every wait.
const patience = 30 * time.Second

var begin = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// clock is what a notifier takes for the time.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// bundle is a notifier over a database of its own.
type bundle struct {
	*testing.T
	*notify.Notifier
	dir   string
	clock *clock
	count int // of the sets of changes
}

func configOf(tb testing.TB, dir string) notify.Config {
	tb.Helper()
	db, err := store.Open(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	keys, err := secret.Open(filepath.Join(dir, "keys"))
	if err != nil {
		tb.Fatal(err)
	}
	return notify.Config{
		Store: db, Keys: keys, Account: "000000000000", Region: "local", Version: "1.2.3", Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
}

// setup makes a notifier, which change may alter before it is made. It is not
// started.
func setup(t *testing.T, change func(*notify.Config)) *bundle {
	t.Helper()
	b := &bundle{T: t, dir: t.TempDir(), clock: &clock{at: begin}}
	config := configOf(t, b.dir)
	config.Now = b.clock.now
	if change != nil {
		change(&config)
	}
	b.Notifier = notify.New(config)
	return b
}

// started makes a notifier that runs until the end of the test.
func started(t *testing.T, change func(*notify.Config)) *bundle {
	t.Helper()
	b := setup(t, change)
	b.Start(t.Context())
	t.Cleanup(b.Stop)
	return b
}

func (b *bundle) add(s notify.Subscription) notify.Subscription {
	b.Helper()
	added, err := b.Add(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	return added
}

// webhook subscribes a receiver to everything.
func (b *bundle) webhook(url string) notify.Subscription {
	b.Helper()
	return b.add(notify.Subscription{Name: "hook", Kind: notify.Webhook, Target: notify.Target{URL: url}})
}

// happen commits changes of stages of one execution, one set for each.
func (b *bundle) happen(number int, stages ...string) {
	b.Helper()
	for _, stage := range stages {
		b.count++
		set := pipeline.ChangeSet{
			Pipeline: "web", Version: 3, Execution: fmt.Sprint("web-", number), Number: number, Attempt: 1, Started: begin, Sequence: b.count, At: b.clock.now(),
			Revision: pipeline.Revision{Branch: "main", Commit: "0123456789012345678901234567890123456789", Message: "Mend it", Author: "ann"},
			Changes:  []pipeline.Change{{Kind: pipeline.ChangeOfStage, State: pipeline.ChangeStarted, Stage: stage, Attempt: 1}},
		}
		commit(b, b.Store, set)
	}
	b.Wake()
}

func commit(tb testing.TB, db *store.DB, set pipeline.ChangeSet) {
	tb.Helper()
	if err := db.Update(tb.Context(), func(q store.Querier) error { return store.AddChanges(tb.Context(), q, set) }); err != nil {
		tb.Fatal(err)
	}
}

// until looks again until ok says so.
func (b *bundle) until(what string, ok func(context.Context) bool) {
	b.Helper()
	waittest.Until(b, what, func() bool { return ok(b.Context()) })
}

// untilCounts waits until the only subscription counts as wanted, its times and
// error aside.
func (b *bundle) untilCounts(pending, delivered, dead int) {
	b.Helper()
	var last store.NoticeCounts
	defer func() {
		if b.Failed() {
			b.Logf("counts %+v", last)
		}
	}()
	b.until(fmt.Sprintf("%d pending, %d delivered, %d dead", pending, delivered, dead), func(ctx context.Context) bool {
		counts, err := b.Store.CountNotices(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range counts {
			last = c
		}
		return last.Pending == pending && last.Delivered == delivered && last.Dead == dead
	})
}

// request is what a receiver got.
type request struct {
	id, body string
	header   http.Header
}

// receiver keeps what it gets and answers as it is told.
type receiver struct {
	mu   sync.Mutex
	got  []request
	come chan struct{} // one for each request
	// answer is asked for each, with how many there were before; nil is 204.
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

func newReceiver(answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	return &receiver{come: make(chan struct{}, 1000), answer: answer}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	n := len(r.got)
	r.got = append(r.got, request{req.Header.Get("Webhook-Id"), string(body), req.Header})
	r.mu.Unlock()
	defer func() { r.come <- struct{}{} }()
	if r.answer != nil {
		r.answer(n, w, req)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) all() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.got...)
}

// await waits for that many requests to be answered.
func (r *receiver) await(tb testing.TB, n int) []request {
	tb.Helper()
	deadline := time.After(patience)
	for range n {
		select {
		case <-r.come:
		case <-deadline:
			tb.Fatalf("%d requests came, want %d more", len(r.all()), n)
		}
	}
	return r.all()
}

// stagesOf are the stages of events, in the order in which they came.
func stagesOf(tb testing.TB, got []request) (stages []string) {
	tb.Helper()
	for _, r := range got {
		_, rest, ok := strings.Cut(r.body, `"stage":"`)
		stage, _, _ := strings.Cut(rest, `"`)
		if !ok {
			tb.Errorf("no stage in %s", r.body)
		}
		stages = append(stages, stage)
	}
	return stages
}

func keyOf(tb testing.TB, whsec string) []byte {
	tb.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(whsec, "whsec_"))
	if err != nil {
		tb.Fatal(err)
	}
	return key
}
