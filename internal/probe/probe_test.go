package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/towline/towline/internal/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start probes a URL until the end of the test at the latest.
func start(t *testing.T, cfg Config) *Prober {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second // This machine may be busy.
	}
	p, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	return p
}

// until waits for the verdict to meet a condition.
func until(t *testing.T, p *Prober, what string, ok func(pipeline.Verdict) bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
		v := p.Snapshot()
		checkSums(t, v)
		if ok(v) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %+v", what, v)
		}
	}
}

// checkSums fails the test unless each request is either answered or lost, in
// total, by lane and by cause.
func checkSums(t *testing.T, v pipeline.Verdict) {
	t.Helper()
	answered, lost := 0, 0
	for status, n := range v.Responses {
		if status < "500" {
			answered += n
		}
	}
	for _, n := range v.Losses {
		lost += n
	}
	got := pipeline.Verdict{Requests: answered + lost, Lost: lost}
	want := pipeline.Verdict{Requests: v.Requests, Lost: v.Lost}
	lanes := pipeline.Verdict{Requests: v.Fresh.Requests + v.KeepAlive.Requests, Lost: v.Fresh.Lost + v.KeepAlive.Lost}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("requests are not answered + lost (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, lanes); diff != "" {
		t.Fatalf("lanes do not add up (-want +got):\n%s", diff)
	}
}

func requests(n int) func(pipeline.Verdict) bool {
	return func(v pipeline.Verdict) bool { return v.Fresh.Requests >= n && v.KeepAlive.Requests >= n }
}

// listen serves each connection of a loopback listener with handle.
func listen(t *testing.T, handle func(*net.TCPConn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func readRequest(r *bufio.Reader) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func TestAHealthyServerLosesNothing(t *testing.T) {
	t.Parallel()
	var conns, received atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received.Add(1)
		if r.Host != "web.example.com" || r.Header.Get("X-Probe") != "yes" || r.ContentLength != 0 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)

	header := http.Header{"Host": {"web.example.com"}, "X-Probe": {"yes"}}
	p := start(t, Config{URL: s.URL + "/healthz?x=1", Rate: 400, Header: header})
	until(t, p, "100 requests on each lane", requests(100))
	v := p.Stop()

	checkSums(t, v)
	if v.Lost != 0 || v.NotSent != 0 || v.Responses["200"] != v.Requests {
		t.Errorf("lost requests of a healthy server: %+v", v)
	}
	if int(received.Load()) != v.Requests {
		t.Errorf("server received %d requests, prober counted %d", received.Load(), v.Requests)
	}
	if kept := int(conns.Load()) - v.Fresh.Requests; kept < 1 || kept >= v.KeepAlive.Requests {
		t.Errorf("keep-alive lane opened %d connections for %d requests", kept, v.KeepAlive.Requests)
	}
	if v.P50Ms <= 0 || v.P99Ms < v.P50Ms || v.Target != s.URL+"/healthz?..." {
		t.Errorf("odd latency or target: %+v", v)
	}
}

func TestEachWayToFailIsALossWithItsCause(t *testing.T) {
	t.Parallel()
	status := func(code int) func(t *testing.T) string {
		return func(t *testing.T) string {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
			t.Cleanup(s.Close)
			return s.URL
		}
	}
	answer := func(text string, linger int) func(t *testing.T) string {
		return func(t *testing.T) string {
			return listen(t, func(c *net.TCPConn) {
				if readRequest(bufio.NewReader(c)) == nil {
					_, _ = io.WriteString(c, text)
					_ = c.SetLinger(linger)
				}
			})
		}
	}
	for _, c := range []struct {
		name   string
		url    func(t *testing.T) string
		cause  string
		status string
	}{
		{"a port where nobody listens", func(t *testing.T) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			return "http://" + l.Addr().String()
		}, "connection refused", ""},
		{"a connection reset after the request", answer("", 0), "connection reset", ""},
		{"a connection closed without an answer", answer("", -1), "EOF", ""},
		{"a body that ends too soon", answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", -1), "unexpected EOF", ""},
		{"a server that stalls", func(t *testing.T) string {
			return listen(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
		}, "timeout", ""},
		{"a body that stalls", func(t *testing.T) string {
			return listen(t, func(c *net.TCPConn) {
				if readRequest(bufio.NewReader(c)) == nil {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
					_, _ = io.Copy(io.Discard, c)
				}
			})
		}, "timeout", ""},
		{"status 503", status(503), "http 503", "503"},
		{"status 500", status(500), "http 500", "500"},
		{"a name that does not resolve", func(*testing.T) string { return "http://web.invalid" }, "name not resolved", ""},
		{"something that is not HTTP", answer("SSH-2.0-OpenSSH_9.2\r\n", -1), `malformed HTTP response "SSH-2.0-OpenSSH_9.2"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{URL: c.url(t), Rate: 200}
			if c.cause == timeout {
				cfg.Timeout = 500 * time.Millisecond
			}
			p := start(t, cfg)
			until(t, p, "5 losses on each lane", func(v pipeline.Verdict) bool { return v.Fresh.Lost >= 5 && v.KeepAlive.Lost >= 5 })
			v := p.Stop()
			checkSums(t, v)
			if v.Lost != v.Requests || v.Losses[c.cause] != v.Lost {
				t.Errorf("want all %d requests lost for %q, got %+v", v.Requests, c.cause, v.Losses)
			}
			if c.status != "" && v.Responses[c.status] != v.Requests {
				t.Errorf("want %d responses %s, got %v", v.Requests, c.status, v.Responses)
			}
			if v.LongestGapMs < 20 {
				t.Errorf("a target that never answered has a gap of %d ms", v.LongestGapMs)
			}
		})
	}
}

func TestAStatusBelow500IsShownAndNotLost(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"204", "302", "404", "429"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			url := listen(t, func(c *net.TCPConn) {
				for r := bufio.NewReader(c); readRequest(r) == nil; {
					fmt.Fprintf(c, "HTTP/1.1 %s X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", code)
				}
			})
			p := start(t, Config{URL: url, Rate: 200})
			until(t, p, "ten requests", requests(10))
			if v := p.Stop(); v.Lost != 0 || v.Responses[code] != v.Requests {
				t.Errorf("got %+v", v)
			}
		})
	}
}

func TestNoRequestIsSentTwice(t *testing.T) {
	t.Parallel()
	// Every third request on a connection is read and answered by hanging up:
	// net/http's own client repeats that when the request is a GET.
	serve := func(t *testing.T) (string, *atomic.Int64) {
		var received atomic.Int64
		return listen(t, func(c *net.TCPConn) {
			for r, n := bufio.NewReader(c), 1; readRequest(r) == nil; n++ {
				received.Add(1)
				if n%3 == 0 {
					return
				}
				_, _ = io.WriteString(c, ok)
			}
		}), &received
	}
	t.Run("the server does tempt net/http to do so", func(t *testing.T) {
		t.Parallel()
		url, received := serve(t)
		client := &http.Client{Transport: NewTransport(true)}
		t.Cleanup(client.CloseIdleConnections)
		for range 30 {
			resp, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if received.Load() <= 30 {
			t.Errorf("received %d requests, want more than the 30 that were made", received.Load())
		}
	})
	ways := map[string]func(bool) http.RoundTripper{
		"by the prober's own way": nil,
		"by a transport":          func(keepAlive bool) http.RoundTripper { return NewTransport(keepAlive) },
	}
	for way, transport := range ways {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			t.Run(method+" "+way, func(t *testing.T) {
				t.Parallel()
				url, received := serve(t)
				p := start(t, Config{URL: url, Method: method, Rate: 300, Transport: transport})
				until(t, p, "100 requests on each lane", requests(100))
				v := p.Stop()
				if int(received.Load()) != v.Requests {
					t.Errorf("server received %d requests, prober counted %d", received.Load(), v.Requests)
				}
				if v.Fresh.Lost != 0 || v.KeepAlive.Lost == 0 || v.KeepAlive.Losses["connection closed"]+v.KeepAlive.Losses["EOF"] != v.KeepAlive.Lost || v.Fresh.Losses != nil {
					t.Errorf("want some of the keep-alive requests lost, and no other: %+v", v)
				}
			})
		}
	}
}

func TestTheRequestIsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	type seen struct{ Method, Path, Host, Type, Authorization, Body string }
	for _, c := range []struct {
		name string
		cfg  Config
		path string
		want seen
	}{
		{"GET", Config{}, "/healthz?x=1", seen{Method: "GET", Path: "/healthz?x=1"}},
		{"HEAD", Config{Method: "HEAD"}, "/", seen{Method: "HEAD", Path: "/"}},
		{"POST with a header and a body", Config{Method: "POST", Body: `{"a":1}`, Header: http.Header{"content-type": {"application/json"}, "Host": {"shop"}}},
			"/orders", seen{Method: "POST", Path: "/orders", Host: "shop", Type: "application/json", Body: `{"a":1}`}},
		{"POST with nothing said of its body", Config{Method: "POST"}, "/", seen{Method: "POST", Path: "/", Body: "probe\n"}},
		{"POST with a header of its own user", Config{Method: "POST", Header: http.Header{"Authorization": {"Bearer x"}}}, "/", seen{Method: "POST", Path: "/", Body: "probe\n", Authorization: "Bearer x"}},
	} {
		for way, transport := range map[string]func(bool) http.RoundTripper{"by itself": nil, "by a transport": func(k bool) http.RoundTripper { return NewTransport(k) }} {
			t.Run(c.name+" "+way, func(t *testing.T) {
				t.Parallel()
				got := make(chan seen, 1000)
				s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					got <- seen{r.Method, r.RequestURI, r.Host, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)}
				}))
				t.Cleanup(s.Close)
				cfg, want := c.cfg, c.want
				cfg.URL, cfg.Transport = s.URL+c.path, transport
				if want.Host == "" {
					want.Host = strings.TrimPrefix(s.URL, "http://")
				}
				p := start(t, cfg)
				until(t, p, "a few requests", requests(3))
				v := p.Stop()
				if v.Lost != 0 || len(got) != v.Requests {
					t.Errorf("server received %d requests: %+v", len(got), v)
				}
				for range len(got) {
					if diff := cmp.Diff(want, <-got); diff != "" {
						t.Fatalf("request (-want +got):\n%s", diff)
					}
				}
			})
		}
	}
	t.Run("a user in the URL signs in", func(t *testing.T) {
		t.Parallel()
		cfg := Config{URL: "http://anna:s3cret@web"}
		r, err := cfg.withDefaults().request()
		if err != nil {
			t.Fatal(err)
		}
		if user, password, ok := r.BasicAuth(); !ok || user != "anna" || password != "s3cret" {
			t.Errorf("signs in as %q with %q", user, password)
		}
	})
}

func TestASlowAnswerDoesNotLowerTheRate(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var waiting atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		waiting.Add(1)
		<-release
	}))
	t.Cleanup(s.Close)
	p := start(t, Config{URL: s.URL, Rate: 200, Timeout: 20 * time.Second})
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(time.Millisecond); waiting.Load() < 150; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("only %d requests were sent while none was answered", waiting.Load())
		}
	}
	close(release)
	if v := p.Stop(); v.Lost != 0 || v.Requests < 150 {
		t.Errorf("got %+v", v)
	}
}

func TestABadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{URL: "web.example.com/healthz"}, `want an absolute http or https URL`},
		{Config{URL: "ftp://u:secret@web.example.com"}, `want an absolute http or https URL`},
		{Config{URL: "http://a b"}, `read the URL to probe`},
		{Config{URL: "http://web", Rate: MaxRate + 1}, `rate 20001 is not between 1 and 20000`},
		{Config{URL: "http://web", Header: http.Header{"Connection": {"close"}}}, `the header Connection is the prober's own`},
		{Config{URL: "http://web", Header: http.Header{"X\r\nY": {"z"}}}, `characters that no header can have`},
		{Config{URL: "http://web", Header: http.Header{"X": {"a\r\nY: b"}}}, `characters that no header can have`},
		{Config{URL: "http://web", Header: http.Header{"": {"a"}}}, `characters that no header can have`},
		{Config{URL: "http://web", Method: "GET /x"}, `invalid method`},
		{Config{URL: "http://web", Rate: -1}, `rate -1 is not between 1 and 20000`},
	} {
		if _, err := Start(context.Background(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Start(%+v) = %v, want %q", c.cfg, err, c.want)
		}
	}
}
