package verdict

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// answering serves one answer to all requests.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// watching is a watchman that sends to a URL by some transport.
func watching(t *testing.T, config probe.Config) *Watchman {
	t.Helper()
	prober, err := probe.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	w := &Watchman{Config: Config{Verify: pipeline.Verify{URL: config.URL}}, prober: here{prober}}
	t.Cleanup(w.Drop)
	return w
}

func TestAnAnswerOfTheAPIServerIsNotTheApplications(t *testing.T) {
	t.Parallel()
	const forbidden = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"services \"web:80\" is forbidden","code":403}`
	for _, c := range []struct {
		name, body string
		status     int
		want       string // the cause of the losses
	}{
		{"a refusal of the API server is lost", forbidden, 403, `the API server refuses: services "web:80" is forbidden`},
		{"so is a Service that it does not know", strings.ReplaceAll(forbidden, "403", "404"), 404, `the API server refuses: services "web:80" is forbidden`},
		{"a refusal of the application is an answer", `{"error":"sign in"}`, 403, ""},
		{"a page that the application has not is one too", strings.Repeat("x", 64<<10), 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			route := kube.Route{Authorize: func(base http.RoundTripper) (http.RoundTripper, error) { return base, nil }}
			w := watching(t, probe.Config{URL: answering(t, c.status, c.body), Transport: proxied(route)})
			w.collect(t.Context(), 5, 10*time.Second)
			v := *w.Verdict()
			if got := refusedByAPIServer(v); got != c.want {
				t.Errorf("refused with %q, want %q: %+v", got, c.want, v)
			}
			if lost := c.want != ""; v.Requests == 0 || (v.Lost == v.Requests) != lost || (v.Lost == 0) == lost {
				t.Errorf("%s", v)
			}
		})
	}
}

func TestNoVerdictIsGivenOnWhatWasNotMeasured(t *testing.T) {
	t.Parallel()
	t.Run("without a request there is no verdict", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nothing is ever due
		prober, err := probe.Start(ctx, probe.Config{URL: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		w := &Watchman{prober: here{prober}}
		if v := w.Verdict(); v != nil {
			t.Errorf("verdict %q", v)
		}
	})
	for _, c := range []struct {
		name, want string
		change     func(*Watchman)
	}{
		{"a verdict on the whole says no more", "ms", func(*Watchman) {}},
		{"one that was begun late says why", "counted after the rollout only: Service web had no ready endpoint before", func(w *Watchman) { w.deferred = "Service web had no ready endpoint before" }},
		{"one that was begun anew says so", "counted from where another process took over", func(w *Watchman) { w.resumed = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watching(t, probe.Config{URL: answering(t, 200, "")})
			c.change(w)
			w.collect(t.Context(), 1, 10*time.Second)
			if got := w.Verdict().String(); !strings.HasSuffix(got, c.want) {
				t.Errorf("verdict %q, want one that ends in %q", got, c.want)
			}
		})
	}
}

func TestRefusalsAreNoProofOfAnything(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{204: "ms", 302: "ms", 404: "but every answer was a refusal, 404: set verify.path to a page that the application has"} {
		w := watching(t, probe.Config{URL: answering(t, status, "")})
		w.collect(t.Context(), 3, 10*time.Second)
		if got := w.Verdict().String(); !strings.HasSuffix(got, want) {
			t.Errorf("status %d: verdict %q, want one that ends in %q", status, got, want)
		}
	}
}

func TestAPasswordInTheURLIsNotShown(t *testing.T) {
	t.Parallel()
	const good, bad = "https://s3cret:s3cret@web.example.com/health?token=s3cret", "https://anna:s3cret@web.example.com:port/"
	w, err := Choose(nil, Config{Verify: pipeline.Verify{URL: good}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Choose(nil, Config{Verify: pipeline.Verify{URL: bad}})
	for _, shown := range []string{w.Name(), w.URL(), shownURL(bad), fmt.Sprint(err)} {
		if strings.Contains(shown, "s3cret") || shown == "" {
			t.Errorf("%q shows the password", shown)
		}
	}
}

func TestWhatToSendIsLookedAtBeforeAnythingIsDone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verify pipeline.Verify
		want   string
	}{
		{pipeline.Verify{From: "here"}, `verify.from: "here" is neither auto, direct, proxy nor pod`},
		{pipeline.Verify{Method: "PUT"}, `verify.method: "PUT" is neither`},
		{pipeline.Verify{Body: "x"}, `set verify.method to POST`},
		{pipeline.Verify{URL: "http://web", From: "pod"}, `towline agent push`},
		{pipeline.Verify{URL: "http://web", From: "proxy"}, `leave one of the two out`},
		{pipeline.Verify{URL: "http://web", Path: "/x"}, `write the path into verify.url`},
		{pipeline.Verify{URL: "web"}, `want an absolute http or https URL`},
		{pipeline.Verify{Rate: -1}, `rate -1`},
		{pipeline.Verify{Header: map[string]string{"A": "b\nC: d"}}, `characters that no header can have`},
	} {
		if _, err := Choose(nil, Config{Verify: c.verify}); err == nil || !refusal.Is(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.verify, err, c.want)
		}
	}
	image := func(context.Context) (string, error) { return "", nil }
	for _, good := range []pipeline.Verify{{}, {Method: "post", Body: "x"}, {URL: "http://web", From: "pod"}, {Off: true, Rate: -1}} {
		if _, err := Choose(nil, Config{Verify: good, AgentImage: image}); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}

func TestAServiceOfNobodyIsKnown(t *testing.T) {
	t.Parallel()
	objects, err := manifest.Decode([]byte(`{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, foreign := range map[string]bool{"web": false, "wbe": true} {
		w, err := Choose(objects, Config{Resumed: foreign, Verify: pipeline.Verify{Service: name}})
		if err != nil || w.foreign != foreign || w.resumed != foreign {
			t.Errorf("%s: foreign %v and resumed %v, want %v; %v", name, w.foreign, w.resumed, foreign, err)
		}
	}
}
