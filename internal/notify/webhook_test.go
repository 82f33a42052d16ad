package notify_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/notify"
)

func TestAWebhookIsSignedAsStandardWebhooksSay(t *testing.T) {
	t.Parallel()
	b := started(t, nil)
	r := newReceiver(nil)
	srv := httptest.NewServer(r)
	defer srv.Close()
	secret := b.webhook(srv.URL).Target.Secret
	b.happen(1, "Test")
	got := r.await(t, 1)[0]
	at := strconv.FormatInt(begin.Unix(), 10)
	mac := hmac.New(sha256.New, keyOf(t, secret))
	mac.Write([]byte(got.id + "." + at + "." + got.body))
	want := map[string]string{
		"Content-Type": "application/json", "User-Agent": "Towline/1.2.3", "Webhook-Timestamp": at,
		"Webhook-Signature": "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	}
	for name, value := range want {
		if got.header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
		}
	}
	if !strings.Contains(got.body, `"id":"`+got.id+`"`) || !strings.Contains(got.body, `"detail-type":"CodePipeline Stage Execution State Change"`) {
		t.Errorf("id %s, body %s", got.id, got.body)
	}
	b.untilCounts(0, 1, 0)
}

func TestAReceiverThatFailsIsTriedAgainInOrder(t *testing.T) {
	t.Parallel()
	b := started(t, nil)
	r := newReceiver(func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 2 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	srv := httptest.NewServer(r)
	defer srv.Close()
	b.webhook(srv.URL)
	b.happen(1, "Source", "Test", "Deploy")
	for attempts := range 3 {
		r.await(t, 1)
		if attempts == 2 {
			break
		}
		b.until("the failure is recorded", func(ctx ctxT) bool {
			found, _, err := b.Store.NextNotices(ctx, "hook", b.clock.now().Add(time.Hour), 1)
			return err == nil && len(found) == 1 && found[0].Attempts == attempts+1 && found[0].Error == "it answered 500 Internal Server Error"
		})
		b.clock.add(time.Minute)
		b.Wake()
	}
	got := r.await(t, 2)
	b.untilCounts(0, 3, 0)
	if diff := cmp.Diff([]string{"Source", "Source", "Source", "Test", "Deploy"}, stagesOf(t, got)); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if got[0].id != got[2].id || got[2].id == got[3].id {
		t.Errorf("ids %s, %s, %s: the first two are of one event", got[0].id, got[2].id, got[3].id)
	}
}

func TestAnExecutionWhoseEventFailsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b := started(t, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"web-1"`) {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer srv.Close()
	b.webhook(srv.URL)
	b.happen(1, "Source", "Test")
	b.happen(2, "Source", "Test", "Deploy")
	b.untilCounts(2, 3, 0)
}

func TestAReceiverIsLeftAloneAsLongAsItAsks(t *testing.T) {
	t.Parallel()
	b := started(t, nil)
	r := newReceiver(func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			w.Header().Set("Retry-After", "1800")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	srv := httptest.NewServer(r)
	defer srv.Close()
	b.webhook(srv.URL)
	b.happen(1, "Test")
	r.await(t, 1)
	b.until("the failure is recorded", func(ctxT) bool { return listed(t, b).Counts.Error != "" })
	found, due, err := b.Store.NextNotices(t.Context(), "hook", begin.Add(29*time.Minute), 1)
	if err != nil || len(found) != 0 || !due.Equal(begin.Add(30*time.Minute)) {
		t.Errorf("found %v, due %s, %v", found, due, err)
	}
}

func TestWhatNeverArrivesIsDeadAndCanBeSentAgain(t *testing.T) {
	t.Parallel()
	b := started(t, nil)
	var broken atomic.Bool
	broken.Store(true)
	r := newReceiver(func(_ int, w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	srv := httptest.NewServer(r)
	defer srv.Close()
	b.webhook(srv.URL)
	b.happen(1, "Source", "Test")
	r.await(t, 1)
	b.until("the failure is recorded", func(ctxT) bool { return listed(t, b).Counts.Error != "" })
	// All of a broken receiver's events have the same time, not one after the
	// other.
	b.clock.add(24 * time.Hour)
	b.Wake()
	r.await(t, 2)
	b.untilCounts(0, 0, 2)
	dead, err := b.Dead(t.Context(), "hook", 0)
	if err != nil || len(dead) != 2 || dead[1].Attempts != 2 || dead[0].Attempts != 1 || dead[0].Title != "web #1: stage Test started" || dead[0].Error != "it answered 503 Service Unavailable" {
		t.Fatalf("dead %+v, %v", dead, err)
	}
	broken.Store(false)
	if count, err := b.Redeliver(t.Context(), "hook", dead[0].ID); count != 1 || err != nil {
		t.Errorf("redelivered %d, %v", count, err)
	}
	b.untilCounts(0, 1, 1)
	if count, err := b.Redeliver(t.Context(), "hook", 0); count != 1 || err != nil {
		t.Errorf("redelivered %d, %v", count, err)
	}
	b.untilCounts(0, 2, 0)
	got := r.all()
	if got[0].id != got[len(got)-1].id || got[0].body != got[len(got)-1].body {
		t.Error("what was sent again is not what was sent")
	}
	if _, err := b.Redeliver(t.Context(), "hook", dead[0].ID); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("redelivering what is not dead: %v", err)
	}
}

func TestAReceiverThatIsGoneIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	b := started(t, nil)
	srv := httptest.NewServer(newReceiver(func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	defer srv.Close()
	b.webhook(srv.URL)
	b.happen(1, "Test")
	b.untilCounts(0, 0, 1)
}

func TestAReceiverThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	b := started(t, func(c *notify.Config) { c.Timeout = 50 * time.Millisecond })
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	defer srv.Close()
	defer close(over)
	b.webhook(srv.URL)
	b.happen(1, "Test")
	b.until("the failure is told", func(ctxT) bool { return listed(t, b).Counts.Error == "it took longer than 50ms" })
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(nil)
	other := httptest.NewServer(elsewhere)
	defer other.Close()
	mux := http.NewServeMux()
	here := newReceiver(nil)
	mux.Handle("/here", here)
	for path, to := range map[string]string{"/same": "/here", "/other": other.URL + "/T0/secret", "/loop": "/loop"} {
		mux.Handle(path, http.RedirectHandler(to, http.StatusTemporaryRedirect))
	}
	mux.Handle("/found", http.RedirectHandler("/here", http.StatusFound))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	b := setup(t, nil)
	for path, want := range map[string]string{
		"/same":  "",
		"/other": "it redirects to another host, " + other.URL + ": give the URL there itself",
		"/loop":  "it redirects more than 3 times",
		"/found": "it redirects with 302 Found, after which nothing would be sent: give the URL there itself",
		"/none":  "it answered 404 Not Found",
	} {
		t.Run(path, func(t *testing.T) {
			name := strings.TrimPrefix(path, "/")
			if _, err := b.Add(t.Context(), notify.Subscription{Name: name, Kind: notify.Webhook, Target: notify.Target{URL: srv.URL + path}}); err != nil {
				t.Fatal(err)
			}
			problem, err := b.Test(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if got := errorText(problem); got != want {
				t.Errorf("problem %q, want %q", got, want)
			}
		})
	}
	if len(elsewhere.all()) != 0 || len(here.all()) != 1 {
		t.Errorf("%d requests went elsewhere, %d arrived", len(elsewhere.all()), len(here.all()))
	}
}

func TestACertificateIsChecked(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(newReceiver(nil))
	defer srv.Close()
	known := x509.NewCertPool()
	known.AddCert(srv.Certificate())
	for name, c := range map[string]struct {
		pool *x509.CertPool
		want string
	}{"of a known authority": {known, ""}, "of an unknown authority": {x509.NewCertPool(), "certificate signed by unknown authority"}} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(config *notify.Config) { config.RootCAs = c.pool })
			b.webhook(srv.URL + "/secret-path")
			problem, err := b.Test(t.Context(), "hook")
			if err != nil || !strings.Contains(errorText(problem), c.want) || (problem == nil) != (c.want == "") {
				t.Errorf("problem %v, %v", problem, err)
			}
			if strings.Contains(errorText(problem), "secret-path") {
				t.Errorf("the problem gives the URL away: %v", problem)
			}
		})
	}
}

func TestSlackIsToldInWords(t *testing.T) {
	t.Parallel()
	b := started(t, func(c *notify.Config) {
		c.Link = func(execution string) string { return "https://towline.example.org/" + execution }
	})
	r := newReceiver(nil)
	srv := httptest.NewServer(r)
	defer srv.Close()
	b.add(notify.Subscription{
		Name: "team", Kind: notify.Slack, Target: notify.Target{URL: srv.URL + "/services/T0/B0/secret"}, Filter: notify.Filter{Kinds: []notify.What{notify.Stages}},
	})
	b.happen(7, "<!channel> & @here")
	want := `{"text":"*web #7: stage \u0026lt;!channel\u0026gt; \u0026amp; @` + "\u200b" + `here started*\nmain 0123456 Mend it (ann)\nhttps://towline.example.org/web-7"}`
	if got := r.await(t, 1)[0].body; got != want {
		t.Errorf("body\n%s\nwant\n%s", got, want)
	}
	shown := listed(t, b)
	if shown.To != srv.URL || strings.Contains(fmt.Sprint(shown), "secret") {
		t.Errorf("shown %+v", shown)
	}
}
