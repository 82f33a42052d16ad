package deploy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/pipeline"
)

// losing is a server that fails to answer the 40th and the 41st request since it
// was last reset: soon after those that are sent before the first change.
func losing(t *testing.T) (url string, reset func()) {
	t.Helper()
	var seen atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n := seen.Add(1); n == 40 || n == 41 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() { seen.Store(0) }
}

// TestALossIsNotForgottenWithItsProcess kills a deployer that has lost two
// requests just before its end. The next one loses two more.
func TestALossIsNotForgottenWithItsProcess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		budget  int
		outcome pipeline.Outcome
		says    string
	}{
		"within the budget the verdict says so":    {4, pipeline.Succeeded, "a process ended in the middle, whose requests were lost, 2 of"},
		"what is more than the budget is reverted": {3, pipeline.Failed, "the budget is 3, a process ended in the middle, whose requests were lost, 2 of"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			image := webImage(t)
			b.write(t, web(image, 1, "VERSION=1")+ready, webService)
			b.deployFirst(t)
			b.write(t, web(image, 1, "VERSION=2")+ready, webService)
			request := b.request()
			request.Key = "web-2.Deploy.1.production"
			url, reset := losing(t)
			request.Verify.URL, request.Verify.Budget = url, c.budget
			b.deployKilled(t, request, "end")

			kept, err := journal.Open(t.Context(), b.cluster, "web", b.namespace)
			if err != nil {
				t.Fatal(err)
			}
			if counted := kept.ByRevision(2).Counted; counted == nil || counted.Lost != 2 || counted.Requests < 41 {
				t.Fatalf("the journal knows %+v, want 2 lost", counted)
			}
			reset()
			d := b.deploy(t, request)
			said := d.Message
			if d.Outcome == pipeline.Succeeded {
				said = d.Verdict.Partial
			}
			if d.Outcome != c.outcome || d.Reverted != (c.outcome == pipeline.Failed) || !strings.Contains(said, c.says) {
				t.Errorf("outcome %s, reverted %t: %q, want %s: %q", d.Outcome, d.Reverted, said, c.outcome, c.says)
			}
			if c.outcome == pipeline.Succeeded && d.Verdict.Lost != 2 {
				t.Errorf("%d lost, want 2: %s", d.Verdict.Lost, d.Verdict)
			}
		})
	}
}
