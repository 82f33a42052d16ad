package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
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

func TestTheServerClosesFreshConnectionsFirst(t *testing.T) {
	t.Parallel()
	// Whoever closes first keeps the port. The server counts the connections
	// on which it read the end after it had closed its own side.
	var late, conns atomic.Int64
	url := listen(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil || !req.Close {
			return
		}
		conns.Add(1)
		_, _ = io.WriteString(c, ok)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if _, err := r.ReadByte(); errors.Is(err, io.EOF) {
			late.Add(1)
		}
	})
	p := start(t, Config{URL: url, Rate: 200})
	until(t, p, "fresh requests", func(v pipeline.Verdict) bool { return v.Fresh.Requests > 50 })
	p.Stop()
	if late.Load() != 0 || conns.Load() < 50 {
		t.Errorf("the prober closed %d of %d connections before the server did", late.Load(), conns.Load())
	}
}

func TestAnAnswerWithoutEndIsNoLossAndCostsTheConnection(t *testing.T) {
	t.Parallel()
	url := listen(t, func(c *net.TCPConn) {
		if readRequest(bufio.NewReader(c)) != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		for err := error(nil); err == nil; {
			_, err = c.Write(make([]byte, 64<<10))
		}
	})
	p := start(t, Config{URL: url, Rate: 4, Timeout: 10 * time.Second})
	until(t, p, "a request on each lane", requests(1))
	if v := p.Stop(); v.Lost != 0 || v.Responses["200"] != v.Requests {
		t.Errorf("got %+v", v)
	}
}

func TestAHeaderWithoutEndIsALoss(t *testing.T) {
	t.Parallel()
	url := listen(t, func(c *net.TCPConn) {
		if readRequest(bufio.NewReader(c)) != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, "X-More: "+strings.Repeat("x", 1000)+"\r\n")
		}
	})
	p := start(t, Config{URL: url, Rate: 4})
	until(t, p, "a request on each lane", requests(1))
	if v := p.Stop(); v.Losses["answer is too long"] != v.Requests {
		t.Errorf("got %+v", v)
	}
}

func TestAKeptConnectionThatWasClosedIdleIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		version uint16 // of TLS
	}{{"in the clear", 0}, {"with TLS 1.2", tls.VersionTLS12}, {"with TLS 1.3", tls.VersionTLS13}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(c, ok) // and close, without having said so
				c.Close()
				closed <- struct{}{}
			}))
			start := s.Start
			if c.version != 0 {
				s.TLS = &tls.Config{MaxVersion: c.version}
				start = s.StartTLS
			}
			start()
			t.Cleanup(s.Close)

			p, err := newProber(Config{URL: s.URL, Transport: func(keepAlive bool) http.RoundTripper {
				transport := NewTransport(keepAlive)
				transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
				return transport
			}})
			if err != nil {
				t.Fatal(err)
			}
			for n := range 300 {
				if a := p.ask(p.lanes[keepAlive]); a.lost() || a.status != 200 {
					t.Fatalf("request %d: %+v", n, a)
				}
				<-closed
			}
		})
	}
}

func TestTLSNeedsATransportThatTrustsTheServer(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)

	p := start(t, Config{URL: s.URL, Rate: 20})
	until(t, p, "losses", requests(5))
	if v := p.Stop(); v.Losses["certificate not trusted"] != v.Requests {
		t.Errorf("got %+v", v)
	}

	p = start(t, Config{URL: s.URL, Rate: 20, Transport: func(keepAlive bool) http.RoundTripper {
		transport := NewTransport(keepAlive)
		transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		return transport
	}})
	until(t, p, "answers", requests(10))
	if v := p.Stop(); v.Lost != 0 {
		t.Errorf("got %+v", v)
	}
}

func TestARestartUnderLoadLosesRequests(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	first := &http.Server{Handler: handler}
	go func() { _ = first.Serve(l) }()
	p := start(t, Config{URL: "http://" + l.Addr().String(), Rate: 400, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	until(t, p, "answers", requests(20))

	p.Mark("restart")
	_ = first.Close()
	lost := func(n int) func(v pipeline.Verdict) bool {
		return func(v pipeline.Verdict) bool { return v.Fresh.Lost >= n && v.KeepAlive.Lost >= n }
	}
	until(t, p, "losses", lost(20))
	if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	second := &http.Server{Handler: handler}
	go func() { _ = second.Serve(l) }()
	t.Cleanup(func() { _ = second.Close() })
	p.Mark("back")
	before := p.Snapshot().Requests
	until(t, p, "answers again", func(v pipeline.Verdict) bool { return v.Requests > before+100 })
	v := p.Stop()

	checkSums(t, v)
	if v.Losses["connection refused"] < 20 || v.LongestGapMs < 50 || v.LongestGapMs > 5000 {
		t.Errorf("want at least 20 refused connections and a gap of about 100 ms: %+v", v)
	}
	var names []string
	for _, m := range v.Marks {
		names = append(names, m.Text)
	}
	if diff := cmp.Diff([]string{"start", "restart", "back"}, names); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	if m := v.Marks; m[0].Lost != 0 || m[1].Lost < 20 || m[0].Requests+m[1].Requests+m[2].Requests != v.Requests {
		t.Errorf("losses are not in the moment of the restart: %+v", m)
	}
	if n := strings.Count(logged.String(), `cause="connection refused"`); n != 1 {
		t.Errorf("log names the cause %d times, want once:\n%s", n, logged.String())
	}
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
