package notify_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/notify"
)

// crashVar names the directory of a server that the test binary is to be, until
// it is killed.
const crashVar = "TOWLINE_NOTIFY_TEST_DIR"

// TestServer is no test by itself, but the server that the one below kills.
func TestServer(t *testing.T) {
	dir := os.Getenv(crashVar)
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n := notify.New(configOf(t, dir))
	n.Start(ctx)
	defer n.Stop()
	<-ctx.Done()
}

func TestAServerThatIsKilledAfterItSentSendsAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *notify.Config) { c.Now = time.Now }) // as the other one's
	var child *exec.Cmd
	var begun sync.Mutex // held until child is set
	begun.Lock()
	r := newReceiver(func(n int, _ http.ResponseWriter, _ *http.Request) {
		if n > 0 {
			return
		}
		begun.Lock()
		defer begun.Unlock()
		// It has been sent, and the sender has not heard yet that it arrived.
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	srv := httptest.NewServer(r)
	defer srv.Close()
	b.webhook(srv.URL)
	b.happen(1, "Source", "Test")

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child = exec.CommandContext(t.Context(), exe, "-test.run=^TestServer$")
	child.Env = append(os.Environ(), crashVar+"="+b.dir)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	begun.Unlock()
	r.await(t, 1)

	b.Start(t.Context())
	defer b.Stop()
	got := r.await(t, 2)
	b.untilCounts(0, 2, 0)
	if diff := cmp.Diff([]string{"Source", "Source", "Test"}, stagesOf(t, got)); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if got[0].id != got[1].id || got[0].body != got[1].body || got[1].id == got[2].id {
		t.Errorf("ids %s, %s, %s: the first two are of one event", got[0].id, got[1].id, got[2].id)
	}
}

func TestAServerThatStopsSendsTheRestAfterTheNextStart(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	arrived, over := make(chan struct{}), make(chan struct{})
	r := newReceiver(func(n int, _ http.ResponseWriter, req *http.Request) {
		if n == 0 {
			close(arrived)
			select {
			case <-over:
			case <-req.Context().Done():
			}
		}
	})
	srv := httptest.NewServer(r)
	defer srv.Close()
	defer close(over)
	b.webhook(srv.URL)
	b.happen(1, "Test")
	b.Start(t.Context())
	<-arrived
	b.Stop() // it does not wait for who hangs
	if counts := listed(t, b).Counts; counts.Pending != 1 || counts.Error != "" {
		t.Errorf("after the stop: %+v", counts)
	}
	again := notify.New(b.Config)
	again.Start(t.Context())
	defer again.Stop()
	b.untilCounts(0, 1, 0)
}
