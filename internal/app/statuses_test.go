package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

// toldOf makes a mirror whose forge answers at api, with a pipeline of the
// mirror's name that has failed.
func toldOf(t *testing.T, a *App, name, address, api string, now time.Time) {
	t.Helper()
	secrets, err := json.Marshal(mirrorSecrets{StatusToken: "t0ken", StatusAPI: api})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := a.mirrors.keys.Seal(mirrorLabel(name), secrets)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.AddMirror(t.Context(), store.Mirror{Name: name, URL: address, Forge: "github", Sealed: sealed, Interval: time.Hour, Created: now}, false); err != nil {
		t.Fatal(err)
	}
	err = a.store.Update(t.Context(), func(q store.Querier) error {
		if err := store.PutPipeline(t.Context(), q, pipeline.Pipeline{Name: name}, name, now); err != nil {
			return err
		}
		number, err := store.NextNumber(t.Context(), q, name)
		if err != nil {
			return err
		}
		return store.SaveExecution(t.Context(), q, pipeline.Execution{
			ID: name + "-1", Pipeline: name, Number: number, Status: pipeline.ExecutionFailed, Started: now.Add(time.Second),
			Revision: pipeline.Revision{Commit: strings.Repeat("3f9c2e1b", 5)},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAForgeThatAsksForPatienceIsGivenIt has a forge that wants to hear nothing
// for an hour: it is asked once, and again when the hour is over.
func TestAForgeThatAsksForPatienceIsGivenIt(t *testing.T) {
	t.Parallel()
	a, _ := setup(t)
	var asked atomic.Int32
	forge := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer forge.Close()
	a.mirrors.transport = forge.Client().Transport
	now := time.Now()
	a.mirrors.now = func() time.Time { return now }
	toldOf(t, a, "acme-web", "https://github.com/acme/web.git", forge.URL, now)
	tell := func() error {
		t.Helper()
		m, err := a.store.Mirror(t.Context(), "acme-web")
		if err != nil {
			t.Fatal(err)
		}
		return a.tellStatusesOf(t.Context(), m)
	}
	if err := tell(); err == nil || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("the first time: %v", err)
	}
	now = now.Add(59 * time.Minute)
	hosts, err := a.forgesToTell(t.Context())
	if err := tell(); err != nil || asked.Load() != 1 {
		t.Errorf("before the hour is over it was asked %d times, %v", asked.Load(), err)
	}
	if err != nil || len(hosts) != 0 {
		t.Errorf("before the hour is over there are to be told %v, %v", hosts, err)
	}
	now = now.Add(2 * time.Minute)
	if err := tell(); err == nil || asked.Load() != 2 {
		t.Errorf("when the hour is over it was asked %d times, %v", asked.Load(), err)
	}
}

// TestAForgeThatHangsHoldsUpNoOther has one forge that does not answer, and one
// that does.
func TestAForgeThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	a, _ := setup(t)
	hung := make(chan struct{})
	var asked atomic.Int32
	deaf := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}))
	defer deaf.Close()
	defer close(hung)
	var told atomic.Bool
	quick := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		told.Store(true)
		w.WriteHeader(http.StatusCreated)
	}))
	defer quick.Close()
	a.mirrors.transport = quick.Client().Transport // both have the certificate of httptest
	now := time.Now()
	toldOf(t, a, "a-deaf", "https://deaf.example.com/acme/web.git", deaf.URL, now)
	toldOf(t, a, "b-quick", "https://quick.example.com/acme/web.git", quick.URL, now)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.newStatuses().Walk(ctx)
	}()
	waittest.Until(t, "the forge that answers is told", told.Load)
	// After five tries, of half a minute each, the deaf one would be given up for now.
	if n := asked.Load(); n > 4 {
		t.Errorf("the forge that hangs was asked %d times before", n)
	}
	cancel()
	<-ended
}
