package probe

import (
	"bufio"
	"crypto/tls"
	"errors"
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

	"github.com/towline/towline/internal/pipeline"
)

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
