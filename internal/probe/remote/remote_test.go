package remote

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/towline/towline/internal/waittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-that-is-long-enough"

// there is a prober that serves until the end of the test at the latest, and
// the application that it probes.
type there struct {
	url      string
	received *atomic.Int64
	log      *waittest.Log
	end      context.CancelFunc
	ended    chan error
}

func serve(t *testing.T, change func(*ServeConfig)) *there {
	t.Helper()
	x := &there{received: &atomic.Int64{}, log: &waittest.Log{}, ended: make(chan error, 1)}
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { x.received.Add(1) }))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.url = "http://" + listener.Addr().String()
	cfg := ServeConfig{Task: Task{URL: app.URL, Rate: 200, Token: token, Via: "a test"}, Listener: listener, Out: x.log}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	x.end = cancel
	done := make(chan struct{})
	go func() { x.ended <- Serve(ctx, cfg); close(done) }()
	t.Cleanup(func() { cancel(); <-done; app.Close() })
	return x
}

func (x *there) attach(t *testing.T, through string) *Remote {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	transport := &http.Transport{}
	r, err := Attach(ctx, Config{URL: through, Transport: transport, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Detach(); transport.CloseIdleConnections() })
	return r
}

func marks(t *testing.T, r *Remote) (texts []string) {
	t.Helper()
	v, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range v.Marks {
		texts = append(texts, m.Text)
	}
	return texts
}

func TestItCountsThereAndTellsHere(t *testing.T) {
	t.Parallel()
	x := serve(t, nil)
	r := x.attach(t, x.url)
	waittest.Until(t, "requests", func() bool { return r.Snapshot().Requests > 50 })
	r.Mark("switch")
	r.flush(t.Context())
	before := int(x.received.Load())
	waittest.Until(t, "more requests", func() bool { return r.Snapshot().Requests > before+50 })
	v, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Requests != int(x.received.Load()) || v.Lost != 0 || v.Via != "a test" || v.Timeline == nil {
		t.Errorf("the application received %d requests: %+v", x.received.Load(), v)
	}
	if len(v.Marks) != 2 || v.Marks[1].Text != "switch" || v.Marks[0].Requests == 0 || v.Marks[1].Requests < 50 {
		t.Errorf("marks %+v", v.Marks)
	}
	again, err := x.attach(t, x.url).Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, again); diff != "" {
		t.Errorf("the final verdict changed (-want +got):\n%s", diff)
	}
	x.end()
	if err := <-x.ended; err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(x.log.String()), "\n")
	last, err := ParseReport([]byte(lines[len(lines)-1]))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, last.Verdict); diff != "" || !last.Final {
		t.Errorf("final %v, the last line of the log (-want +got):\n%s", last.Final, diff)
	}
}

func TestItWaitsForATargetThatIsNew(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	x := serve(t, func(cfg *ServeConfig) { cfg.Task.URL, cfg.Task.Patience = "http://"+address, time.Minute })
	app := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { x.received.Add(1) })}
	time.AfterFunc(300*time.Millisecond, func() { // It is what takes a while to come.
		if listener, err := net.Listen("tcp", address); err == nil {
			_ = app.Serve(listener)
		}
	})
	t.Cleanup(func() { app.Close() })
	r := x.attach(t, x.url)
	waittest.Until(t, "requests", func() bool { return r.Snapshot().Requests > 20 })
	if v, err := r.Stop(t.Context()); err != nil || v.Lost != 0 || v.Requests != int(x.received.Load()) {
		t.Errorf("the application received %d requests: %+v, %v", x.received.Load(), v, err)
	}
}

func TestNothingCountedIsLostWithTheConnection(t *testing.T) {
	t.Parallel()
	x := serve(t, nil)
	way := newUnsteady(t, x.url)
	began := time.Now() // before which the prober there had begun
	r := x.attach(t, way.url)
	for n := range 5 {
		before := r.Snapshot().Requests
		way.cut()
		r.Mark(fmt.Sprint("mark ", n))
		waittest.Until(t, "requests after the connection was cut", func() bool { return r.Snapshot().Requests > before+10 })
	}
	way.shut()
	before, sofar := x.received.Load(), time.Since(began)
	r.Mark("while nobody could be asked")
	waittest.Until(t, "requests while nobody could be asked", func() bool { return x.received.Load() > before+50 })
	way.open()
	v, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Requests != int(x.received.Load()) || v.Lost != 0 {
		t.Errorf("the application received %d requests: %+v", x.received.Load(), v)
	}
	if len(v.Marks) != 7 || v.Marks[6].Text != "while nobody could be asked" {
		t.Fatalf("marks %+v", v.Marks)
	}
	// 50 requests take 250 ms: a mark that got the time of its arrival is late.
	if late := v.Marks[6].AtMs - sofar.Milliseconds(); late > 200 {
		t.Errorf("the last mark is %d ms late: %+v", late, v.Marks)
	}
}

func TestItRestsUntilItIsWoken(t *testing.T) {
	t.Parallel()
	x := serve(t, nil)
	r := x.attach(t, x.url)
	waittest.Until(t, "requests", func() bool { return r.Snapshot().Requests > 50 })
	if err := r.Rest(t.Context()); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "a moment with hardly a request", func() bool {
		before := x.received.Load()
		<-time.After(300 * time.Millisecond) // 60 requests at the full rate
		return x.received.Load()-before <= 2
	})
	if err := r.Wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := x.received.Load()
	waittest.Until(t, "requests after the rest", func() bool { return x.received.Load() > before+50 })
	if v, err := r.Stop(t.Context()); err != nil || v.Lost != 0 || v.Requests != int(x.received.Load()) {
		t.Errorf("the application received %d requests: %+v, %v", x.received.Load(), v, err)
	}
}

func TestWhoeverAttachesAgainFindsAllCounts(t *testing.T) {
	t.Parallel()
	x := serve(t, nil)
	first := x.attach(t, x.url)
	first.Mark("before")
	waittest.Until(t, "the mark and requests", func() bool { return first.Snapshot().Requests > 50 })
	first.flush(t.Context())
	first.Detach() // as its process dies
	second := x.attach(t, x.url)
	first50 := second.Snapshot().Requests
	waittest.Until(t, "the stream", func() bool { return second.Snapshot().Requests > first50 })
	if v := second.Snapshot(); v.Requests < 50 || len(v.Marks) != 2 {
		t.Errorf("heard of %d requests and %d marks", v.Requests, len(v.Marks))
	}
	second.Mark("after")
	if diff := cmp.Diff([]string{"start", "before", "after"}, marks(t, second)); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

func TestAMarkWhoseAnswerIsLostIsPutOnce(t *testing.T) {
	t.Parallel()
	x := serve(t, nil)
	target, err := url.Parse(x.url)
	if err != nil {
		t.Fatal(err)
	}
	var tries atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path == "/mark" && tries.Add(1) < 3 {
			return fmt.Errorf("lost")
		}
		return nil
	}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.FlushInterval = -1
	way := httptest.NewServer(proxy)
	t.Cleanup(way.Close)
	r := x.attach(t, way.URL)
	r.Mark("switch")
	waittest.Until(t, "three tries", func() bool { return tries.Load() >= 3 })
	if diff := cmp.Diff([]string{"start", "switch"}, marks(t, r)); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

func TestWhoMayNotAskIsTold(t *testing.T) {
	t.Parallel()
	x := serve(t, nil)
	for _, path := range []string{"GET /report", "GET /follow", "POST /mark", "POST /stop"} {
		method, path, _ := strings.Cut(path, " ")
		for _, wrong := range []string{"", token + "x"} {
			request, err := http.NewRequestWithContext(t.Context(), method, x.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set(tokenHeader, wrong)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s with token %q: %s", method, path, wrong, response.Status)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	_, err := Attach(t.Context(), Config{URL: x.url, Transport: http.DefaultTransport, Token: "wrong"})
	if !refused(err) || !strings.Contains(err.Error(), "token is missing or wrong") {
		t.Errorf("attach with a wrong token: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAProberThatNobodyAsksEnds(t *testing.T) {
	t.Parallel()
	x := serve(t, func(cfg *ServeConfig) { cfg.Idle = 300 * time.Millisecond })
	select {
	case err := <-x.ended:
		if err != nil {
			t.Error(err)
		}
		x.ended <- nil
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	if r, err := ParseReport([]byte(x.log.String())); err != nil || !r.Final || r.Verdict.Requests != int(x.received.Load()) {
		t.Errorf("final report %+v, %v", r, err)
	}
}

func TestAProberThatIsFollowedDoesNotEnd(t *testing.T) {
	t.Parallel()
	x := serve(t, func(cfg *ServeConfig) { cfg.Idle = 2 * time.Second })
	r := x.attach(t, x.url)
	waittest.Until(t, "twice the time", func() bool { return r.Snapshot().Rate > 0 && r.Snapshot().Requests > 800 })
	select {
	case err := <-x.ended:
		t.Fatalf("it ended: %v", err)
	default:
	}
}

func TestATask(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"not the JSON of one": `{"url": 1}`,
		"not the JSON":        `{"url": "http://web", "token": "a-token-that-is-long-enough", "more": 1}`,
		"token":               `{"url": "http://web", "token": "short"}`,
		"96 KiB is the most":  strings.Repeat(" ", maxTask+1),
	} {
		if _, err := ParseTask([]byte(text)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%.40s: %v, want %q", text, err, name)
		}
	}
	if _, err := (Task{Body: strings.Repeat("x", maxTask)}).Encode(); err == nil {
		t.Error("a body that is too long was encoded")
	}
}

func FuzzParseTask(f *testing.F) {
	f.Add([]byte(`{"url":"http://web","method":"POST","header":{"A":"b"},"body":"x","rate":5,"timeout":1000,"via":"v","token":"a-token-that-is-long-enough"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		task, err := ParseTask(text)
		if err != nil {
			return
		}
		encoded, err := task.Encode()
		if err != nil {
			return
		}
		again, err := ParseTask([]byte(encoded))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(task, again, cmp.Transformer("empty", func(h map[string]string) string { return fmt.Sprint(h) })); diff != "" {
			t.Errorf("encode and parse (-want +got):\n%s", diff)
		}
	})
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"verdict":{"requests":1,"lost":0},"final":true,"time":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"verdict":{"losses":{"EOF":1},"marks":[{"text":"start"}],"timeline":{"everyMs":250}},"time":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ParseReport(text); err == nil && r.Time.IsZero() {
			t.Error("a report without a time was read")
		}
	})
}

// unsteady is a way to a server whose connections can be cut.
type unsteady struct {
	url string

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
}

func newUnsteady(t *testing.T, to string) *unsteady {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &unsteady{url: "http://" + listener.Addr().String(), conns: map[net.Conn]bool{}}
	var copies sync.WaitGroup
	t.Cleanup(func() { listener.Close(); u.shut(); copies.Wait() })
	copies.Go(func() {
		for {
			here, err := listener.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", strings.TrimPrefix(to, "http://"))
			if err != nil || !u.add(here, there) {
				here.Close()
				continue
			}
			copies.Go(func() { _, _ = io.Copy(here, there); here.Close(); there.Close() })
			copies.Go(func() { _, _ = io.Copy(there, here); here.Close(); there.Close() })
		}
	})
	return u
}

func (u *unsteady) add(conns ...net.Conn) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range conns {
		if u.closed {
			c.Close()
			continue
		}
		u.conns[c] = true
	}
	return !u.closed
}

func (u *unsteady) cut() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		c.Close()
	}
	clear(u.conns)
}

func (u *unsteady) shut() { u.mu.Lock(); u.closed = true; u.mu.Unlock(); u.cut() }
func (u *unsteady) open() { u.mu.Lock(); u.closed = false; u.mu.Unlock() }
