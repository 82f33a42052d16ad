package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

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
	secrets, err := json.Marshal(mirrorSecrets{StatusToken: "t0ken", StatusAPI: forge.URL})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := a.mirrors.keys.Seal(mirrorLabel("acme-web"), secrets)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.AddMirror(t.Context(), store.Mirror{Name: "acme-web", URL: "https://github.com/acme/web.git", Forge: "github", Sealed: sealed, Interval: time.Hour, Created: now}, false); err != nil {
		t.Fatal(err)
	}
	err = a.store.Update(t.Context(), func(q store.Querier) error {
		p := pipeline.Pipeline{Name: "shop"}
		if err := store.PutPipeline(t.Context(), q, p, "acme-web", now); err != nil {
			return err
		}
		number, err := store.NextNumber(t.Context(), q, "shop")
		if err != nil {
			return err
		}
		return store.SaveExecution(t.Context(), q, pipeline.Execution{
			ID: "shop-1", Pipeline: "shop", Number: number, Status: pipeline.ExecutionFailed, Started: now.Add(time.Second),
			Revision: pipeline.Revision{Commit: strings.Repeat("3f9c2e1b", 5)},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.tellStatuses(t.Context()); err == nil || !strings.Contains(err.Error(), "acme-web") || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("the first time: %v", err)
	}
	now = now.Add(59 * time.Minute)
	if err := a.tellStatuses(t.Context()); err != nil || asked.Load() != 1 {
		t.Errorf("before the hour is over it was asked %d times, %v", asked.Load(), err)
	}
	now = now.Add(2 * time.Minute)
	if err := a.tellStatuses(t.Context()); err == nil || asked.Load() != 2 {
		t.Errorf("when the hour is over it was asked %d times, %v", asked.Load(), err)
	}
}
