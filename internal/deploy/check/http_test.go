package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/pipeline"
)

// serve answers the n-th request, from 1, by what answer says.
func serve(t *testing.T, answer func(n int64, w http.ResponseWriter, r *http.Request)) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(asked.Add(1), w, r) }))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestHTTPAsksUntilGoodAnswersComeInARow(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	connections := map[string]bool{}
	address, asked := serve(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.RemoteAddr] = true
		mu.Unlock()
		if n == 2 {
			http.Error(w, "still warming up", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "hello")
	})
	check := pipeline.Check{Name: "smoke", HTTP: &pipeline.HTTPCheck{URL: address + "/healthz?token=hunter2", Contains: "hello", Times: 3}}
	result, err := Run(t.Context(), config(t), check)
	if err != nil {
		t.Fatal(err)
	}
	if result.Answered != "200 OK" || result.Times != 5 || asked.Load() != 5 || result.Asked != "GET "+address+"/healthz?..." {
		t.Errorf("result %+v, asked %d times", result, asked.Load())
	}
	mu.Lock()
	defer mu.Unlock()
	if len(connections) != 5 {
		t.Errorf("%d connections, want each request on its own", len(connections))
	}
}

func TestHTTPSaysNo(t *testing.T) {
	t.Parallel()
	say := func(code int, text string) func(int64, http.ResponseWriter, *http.Request) {
		return func(_ int64, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, text)
		}
	}
	cases := []struct {
		name   string
		answer func(int64, http.ResponseWriter, *http.Request)
		check  pipeline.HTTPCheck
		want   []string
	}{
		{"a bad status", say(503, "still\n warming \xff up"), pipeline.HTTPCheck{},
			[]string{`answered 503 Service Unavailable "still warming ? up"`, "expected a status of 200 to 399"}},
		{"another status than the one wanted", say(200, ""), pipeline.HTTPCheck{Status: 204}, []string{"answered 200 OK, expected status 204"}},
		{"an answer without the text", say(200, "old"), pipeline.HTTPCheck{Contains: "new"},
			[]string{`answered 200 OK "old"`, `expected a status of 200 to 399 and an answer that contains "new"`}},
		{"an answer that is too long", say(200, strings.Repeat("x", maxBody)+"new"), pipeline.HTTPCheck{Contains: "new"}, []string{"not in the first 1048576 bytes"}},
		{"one that is good only every other time", func(n int64, w http.ResponseWriter, r *http.Request) { say(200+300*int(n%2), "")(n, w, r) },
			pipeline.HTTPCheck{Times: 2}, []string{"did not become good within 2.5s"}},
		{"one that hangs", func(_ int64, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, pipeline.HTTPCheck{}, []string{"answered no answer in time"}},
		{"a connection that breaks off", func(int64, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, pipeline.HTTPCheck{}, []string{"answered EOF"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check.URL, _ = serve(t, c.answer)
			_, err := Run(t.Context(), config(t), pipeline.Check{Name: "smoke", Timeout: "2500ms", HTTP: &c.check})
			if !refusal.Is(err) {
				t.Fatalf("error %v, want a refusal", err)
			}
			for _, want := range append(c.want, "check smoke", "asked GET "+c.check.URL) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("refusal %q\nwant %q in it", err, want)
				}
			}
		})
	}
}

func TestHTTPRedirections(t *testing.T) {
	t.Parallel()
	elsewhere, strayed := serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") })
	address, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/there":
			fmt.Fprint(w, "hello")
		case "/away":
			http.Redirect(w, r, elsewhere, http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		}
	})
	address = strings.Replace(address, "http://", "http://anna:hunter2@", 1)
	run := func(t *testing.T, check pipeline.HTTPCheck) (Result, error) {
		t.Helper()
		check.Times = 1
		result, err := Run(t.Context(), config(t), pipeline.Check{Timeout: "500ms", HTTP: &check})
		if strings.Contains(fmt.Sprint(result, err), "hunter2") {
			t.Errorf("the password is shown: %+v, %v", result, err)
		}
		return result, err
	}
	t.Run("one to the same host is followed", func(t *testing.T) {
		if result, err := run(t, pipeline.HTTPCheck{URL: address + "/here", Contains: "hello"}); err != nil {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("one that is expected is not followed", func(t *testing.T) {
		if result, err := run(t, pipeline.HTTPCheck{URL: address + "/here", Status: 302}); err != nil {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("one to another host is the answer", func(t *testing.T) {
		result, err := run(t, pipeline.HTTPCheck{URL: address + "/away"})
		if err != nil || result.Answered != "302 Found to another place, which is not followed" || strayed.Load() != 0 {
			t.Errorf("%+v, %v; the other host was asked %d times", result, err, strayed.Load())
		}
	})
	t.Run("one without end is an error", func(t *testing.T) {
		if _, err := run(t, pipeline.HTTPCheck{URL: address + "/round"}); !refusal.Is(err) || !strings.Contains(err.Error(), "redirected more than 10 times") {
			t.Errorf("%v", err)
		}
	})
}

func TestSiteHolds(t *testing.T) {
	t.Parallel()
	const proxy = "https://cluster:6443/api/v1/namespaces/shop/services/web:80/proxy"
	cases := []struct {
		name, base, to string
		proxied, want  bool
	}{
		{"the same host", "http://web/a", "http://web/b", false, true},
		{"another port", "http://web:8080/a", "http://web:9090/a", false, false},
		{"another host", "http://web/a", "http://web.evil/a", false, false},
		{"https in place of http", "http://web/a", "https://web/a", false, true},
		{"http in place of https", "https://web/a", "http://web/a", false, false},
		{"https on a port of its own", "http://web:8080/", "https://web/a", false, false},
		{"below the Service", proxy, proxy + "/b", true, true},
		{"the Service itself", proxy, proxy, true, true},
		{"a Service that only begins alike", proxy, proxy + "x/b", true, false},
		{"another object of the API", proxy, "https://cluster:6443/api/v1/namespaces/shop/secrets", true, false},
		{"another object by way of the Service", proxy, proxy + "/../../../secrets", true, false},
		{"another object by way of escapes", proxy, proxy + "/%2e%2e/%2e%2e/%2e%2e/secrets", true, false},
		{"the API server without TLS", proxy, "http" + strings.TrimPrefix(proxy, "https"), true, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base, err := url.Parse(c.base)
			to, err2 := url.Parse(c.to)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			if got := (site{base: base, proxied: c.proxied}).holds(to); got != c.want {
				t.Errorf("%s to %s: %t", c.base, c.to, got)
			}
		})
	}
}

func TestCredentialsAreNotShown(t *testing.T) {
	t.Parallel()
	address, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("Authorization")+" "+r.URL.RawQuery, http.StatusTeapot)
	})
	address = strings.Replace(address, "http://", "http://anna:hunter2@", 1)
	c, log := config(t), &strings.Builder{}
	c.Log = runbook.New(log, nil)
	_, err := Run(t.Context(), c, pipeline.Check{Timeout: "1s", HTTP: &pipeline.HTTPCheck{URL: address + "/?who"}})
	text := fmt.Sprint(err, log)
	for _, secret := range []string{"hunter2", "YW5uYTpodW50ZXIy"} {
		if strings.Contains(text, secret) {
			t.Errorf("shown: %s", text)
		}
	}
	if !strings.Contains(text, "Basic xxxxx who") {
		t.Errorf("the answer is not shown: %s", text)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the server shuts down")
	address, _ := serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		cancel(gone)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, err := Run(ctx, config(t), pipeline.Check{HTTP: &pipeline.HTTPCheck{URL: address}})
	if !errors.Is(err, gone) || refusal.Is(err) {
		t.Errorf("error %v, want why the context ended", err)
	}
}

func TestChecksThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		check pipeline.Check
		want  string
	}{
		"none of the three":       {pipeline.Check{Name: "x"}, "exactly one of http, job and prometheus must be set, and 0 are"},
		"two of the three":        {pipeline.Check{Job: "x", HTTP: &pipeline.HTTPCheck{}}, "and 2 are"},
		"a timeout that is none":  {pipeline.Check{Job: "x", Timeout: "soon"}, `timeout "soon" is not a time`},
		"a timeout of no time":    {pipeline.Check{Job: "x", Timeout: "-1s"}, `timeout "-1s" is not a time`},
		"an address that is none": {pipeline.Check{HTTP: &pipeline.HTTPCheck{URL: "ftp://web"}}, "write it as http://HOST"},
		"a Job that is not there": {pipeline.Check{Job: "smoke"}, "the manifests have no Job smoke with the annotation towline.dev/hook: check"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Run(t.Context(), config(t), c.check); !refusal.Is(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
