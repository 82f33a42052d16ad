package drain

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/internal/waittest"
)

// slow answers at once, but /slow only when it is told to.
func slow(release chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, "slow")
	})
	return mux
}

func TestAKeptConnectionIsToldWithItsNextAnswer(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, slow(nil), quick)
	d := dial(t, s.address)
	if r := d.get("/"); r.Close {
		t.Fatal("told before the drain")
	}
	done := s.begin(t)
	if r := d.get("/"); !r.Close || r.StatusCode != 200 {
		t.Errorf("close %v, status %d; want an answer that says close", r.Close, r.StatusCode)
	}
	if rest, err := d.end(); rest != "" || err != nil {
		t.Errorf("after it %q, %v", rest, err)
	}
	<-done
}

func TestNewConnectionsAreServedWhileTheDrainLasts(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, slow(nil), quick)
	done := s.begin(t)
	for range 20 {
		d := dial(t, s.address)
		if r := d.get("/"); !r.Close || r.StatusCode != 200 {
			t.Errorf("close %v, status %d; want an answer that says close", r.Close, r.StatusCode)
		}
	}
	<-done
}

func TestWhatIsInFlightIsAnsweredBeforeItIsDrained(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := startHTTP(t, slow(release), quick)
	d := dial(t, s.address)
	d.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	half := dial(t, s.address)
	half.send("GET / HTTP/1.1\r\nHo")
	done := s.begin(t)
	select {
	case <-done:
		t.Fatal("drained with a request in flight")
	case <-time.After(3 * quick.Detach):
	}
	half.send("st: a\r\n\r\n")
	if r := half.answer("GET"); !r.Close {
		t.Error("the request that came in two parts was not told")
	}
	close(release)
	if r := d.answer("GET"); !r.Close || r.StatusCode != 200 {
		t.Errorf("close %v, status %d", r.Close, r.StatusCode)
	}
	<-done
}

func TestWhatTakesTooLongIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := startHTTP(t, slow(release), Config{Detach: 100 * time.Millisecond, Longest: 200 * time.Millisecond})
	d := dial(t, s.address)
	d.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-s.begin(t)
	close(release)
	if r := d.answer("GET"); r.StatusCode != 200 {
		t.Error("it is answered all the same while the proxy lives")
	}
}

func TestAnIdleConnectionIsClosedAtTheEndOnly(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, slow(nil), quick)
	used, unused := dial(t, s.address), dial(t, s.address)
	used.get("/")
	began := time.Now()
	done := s.begin(t)
	for _, d := range []*dialer{used, unused} {
		if rest, err := d.end(); rest != "" || err != nil {
			t.Errorf("%q, %v; want a clean end", rest, err)
		}
	}
	if lasted := time.Since(began); lasted < quick.Detach {
		t.Errorf("closed after %s, want %s", lasted, quick.Detach)
	}
	<-done
}

func TestOnlyTheLastOfPipelinedAnswersSaysClose(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := startHTTP(t, slow(release), quick)
	d := dial(t, s.address)
	d.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	// The second request has reached the proxy for certain once a third
	// connection was served.
	dial(t, s.address).get("/")
	done := s.begin(t)
	close(release)
	if r := d.answer("GET"); r.Close {
		t.Error("the first answer says close and would lose the second")
	}
	if r := d.answer("GET"); !r.Close {
		t.Error("the second answer does not say close")
	}
	<-done
}

func TestAnUpgradedConnectionIsLeftToTheApplication(t *testing.T) {
	t.Parallel()
	bye := make(chan struct{})
	s := startRaw(t, quick, func(conn *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		<-bye
		_, _ = io.WriteString(conn, "bye")
	})
	d := dial(t, s.address)
	d.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	if r, err := http.ReadResponse(d.r, nil); err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	<-s.begin(t)
	close(bye)
	if got, err := d.end(); got != "bye" || err != nil {
		t.Errorf("%q, %v; want the application's last word", got, err)
	}
}

func TestAConnectionThatIsNotUnderstoodIsClosedOnceItIsQuiet(t *testing.T) {
	t.Parallel()
	s := startRaw(t, quick, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	d := dial(t, s.address)
	d.send("\x16\x03\x01hello")
	if _, err := io.ReadFull(d.r, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	done := s.begin(t)
	if rest, err := d.end(); rest != "" || err != nil {
		t.Errorf("%q, %v; want a clean end", rest, err)
	}
	<-done
}

func TestOnlyThePodItselfBeginsADrain(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "10.0.0.1:80": false, "[fe80::1]:80": false, "": false} {
		if local(remote) != want {
			t.Errorf("local(%q) = %v", remote, !want)
		}
	}
	s := startHTTP(t, slow(nil), Config{Detach: 50 * time.Millisecond, Longest: 50 * time.Millisecond})
	// To ask whether it is drained does not begin it: it answers after the
	// longest time that a drain takes.
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/drained", s.admin))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if r := dial(t, s.address).get("/"); r.Close {
		t.Error("the question has begun the drain")
	}
}

func TestToEndTheProxyDrainsIt(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := startHTTP(t, slow(release), quick)
	d := dial(t, s.address)
	d.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	s.stop()
	waittest.Until(t, "a new connection is served and told", func() bool { return dial(t, s.address).get("/").Close })
	close(release)
	if r := d.answer("GET"); !r.Close || r.StatusCode != 200 {
		t.Errorf("close %v, status %d", r.Close, r.StatusCode)
	}
}

// pods is a Service of two pods: the one that ends, and another that takes
// over once each client has met the drain of the first.
type pods struct {
	address atomic.Pointer[string]
	rounds  []atomic.Int64 // requests that were answered, by client
	sent    atomic.Int64
	lost    atomic.Int64
	cause   sync.Map
}

// all waits until each client has had so many more answers.
func (p *pods) all(t *testing.T, more int64) {
	t.Helper()
	begin := make([]int64, len(p.rounds))
	for i := range p.rounds {
		begin[i] = p.rounds[i].Load()
	}
	waittest.Until(t, "each client has more answers", func() bool {
		for i := range p.rounds {
			if p.rounds[i].Load() < begin[i]+more {
				return false
			}
		}
		return true
	})
}

// client sends requests on one kept connection until ctx ends, opens another
// one when it is told to, and repeats nothing. A connection that is closed
// while it is idle is noticed before the next request is sent, as good clients
// do. It thinks for a pause between two requests.
func (p *pods) client(ctx context.Context, n int, pause time.Duration) {
	var conn net.Conn
	var r *bufio.Reader
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for ctx.Err() == nil {
		if conn != nil && readable(conn.(*net.TCPConn)) {
			_ = conn.Close()
			conn = nil
		}
		p.sent.Add(1)
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", *p.address.Load()); err != nil {
				p.lose(err)
				continue
			}
			r = bufio.NewReader(conn)
		}
		response, err := post(conn, r)
		if err != nil {
			p.lose(err)
		}
		if err != nil || response.Close {
			_ = conn.Close()
			conn = nil
		}
		if err == nil {
			p.rounds[n].Add(1)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (p *pods) lose(err error) {
	p.lost.Add(1)
	p.cause.Store(err.Error(), true)
}

func post(conn net.Conn, r *bufio.Reader) (*http.Response, error) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response, err
}

// The application of this test does what naive ones do: it ends at once.
func TestNoClientLosesARequestThoughTheApplicationEndsAtOnce(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(2 * time.Millisecond) // There is always a request in flight.
	})
	naive := &http.Server{Handler: handler}
	l := listen(t)
	go func() { _ = naive.Serve(l) }()
	s := start(t, l, Config{Detach: 3 * time.Second, Longest: 10 * time.Second})
	other := startHTTP(t, handler, quick)

	p := pods{rounds: make([]atomic.Int64, 60)}
	p.address.Store(&s.address)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for i := range p.rounds {
		// From always busy to one request each 300 ms.
		clients.Go(func() { p.client(ctx, i, time.Duration(i*i)*time.Millisecond/12) })
	}
	p.all(t, 3)
	done := s.begin(t)
	p.all(t, 2)
	p.address.Store(&other.app)
	<-done
	_ = naive.Close() // resets what is open, as an exit does
	s.stop()
	p.all(t, 3)
	stop()
	clients.Wait()
	if lost := p.lost.Load(); lost > 0 {
		p.cause.Range(func(cause, _ any) bool { t.Log(cause); return true })
		t.Errorf("%d of %d requests lost", lost, p.sent.Load())
	}
	t.Logf("%d requests", p.sent.Load())
}

// A client of HTTP/2 may begin a request anew that the server has not looked
// at: that is told by GOAWAY. So here each must be handled exactly once.
func TestAClientOfHTTP2LosesNoRequest(t *testing.T) {
	t.Parallel()
	var handled sync.Map
	var twice atomic.Int64
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := io.ReadAll(r.Body)
		if _, again := handled.LoadOrStore(string(id), true); again {
			twice.Add(1)
		}
		<-time.After(5 * time.Millisecond) // There is always a request in flight.
	})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	naive := &http.Server{Handler: handler, Protocols: &protocols}
	l := listen(t)
	go func() { _ = naive.Serve(l) }()
	s := start(t, l, Config{Detach: time.Second, Longest: 10 * time.Second})
	other := startHTTP(t, handler, quick)
	client := clientHTTP2(t)

	p := pods{rounds: make([]atomic.Int64, 10)}
	p.address.Store(&s.address)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for i := range p.rounds {
		clients.Go(func() {
			for ctx.Err() == nil {
				id := strings.NewReader(fmt.Sprint(p.sent.Add(1)))
				response, err := client.Post("http://"+*p.address.Load()+"/", "text/plain", id)
				if err != nil {
					p.lose(err)
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				p.rounds[i].Add(1)
			}
		})
	}
	p.all(t, 10)
	done := s.begin(t)
	p.all(t, 10)
	p.address.Store(&other.app)
	<-done
	_ = naive.Close()
	s.stop()
	p.all(t, 10)
	stop()
	clients.Wait()
	if lost := p.lost.Load(); lost > 0 {
		p.cause.Range(func(cause, _ any) bool { t.Log(cause); return true })
		t.Errorf("%d of %d requests lost", lost, p.sent.Load())
	}
	if n := twice.Load(); n > 0 {
		t.Errorf("%d requests were handled twice", n)
	}
	t.Logf("%d requests", p.sent.Load())
}
