package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of an answer.
const (
	maxHead = 256 << 10 // of its status line and header
	maxBody = 4 << 20   // of what is read of its body; what is longer counts as answered and costs the connection
)

// farewell is how long a server may take to close a fresh connection after its
// answer, as it was asked to. Whoever closes first keeps the port for a minute
// more, and this machine has only some 28,000 of them for each address.
const farewell = time.Second

// maxStale is how many kept connections in a row may be found closed before
// the last one counts as a loss.
const maxStale = 3

// errClosed says that the server had closed a kept connection before the
// request was written, or instead of an answer.
var errClosed = errors.New("server closed idle connection")

// errTooLong ends the reading of an answer.
var errTooLong = errors.New("answer is too long")

// wire sends requests over HTTP/1.1 straight to the target. It is what the
// prober uses by itself: less than half the processor time of net/http's
// transport, which the benchmarks take from the cluster that they measure, and
// nothing in it could repeat a request. What is written and read is still put
// and understood by net/http.
//
// Only a request of which no byte has left this machine, because the kept
// connection that it was meant for turns out to be closed, goes out on another
// connection. Any later failure is a loss.
type wire struct {
	target  target
	method  *http.Request // tells how an answer to it is to be read
	request []byte
	want    int // connections to keep; 0 makes a new one for each request
	dialled atomic.Uint64

	mu      sync.Mutex
	open    int     // kept connections, idle or in use
	idle    []*link // the one that was used longest ago first
	closed  bool
	parting sync.WaitGroup
	readers sync.Pool // of connections that are closed; a new one would take 4 KB
}

var _ sender = (*wire)(nil)

// newWire makes the sender of a lane. The request is the same each time.
func newWire(request *http.Request, keep int, from []netip.Addr) (*wire, error) {
	target, err := newTarget(request.URL)
	if err != nil {
		return nil, err
	}
	target.from = from
	request = request.Clone(request.Context())
	request.Close = keep == 0
	var text bytes.Buffer
	if err := request.Write(&text); err != nil {
		return nil, fmt.Errorf("put the request to %s: %w", Shown(request.URL), err)
	}
	return &wire{
		target: target, method: &http.Request{Method: request.Method}, request: text.Bytes(), want: keep,
		readers: sync.Pool{New: func() any { return bufio.NewReader(nil) }},
	}, nil
}

// send implements sender.
func (w *wire) send(deadline time.Time) (int, error) {
	for range maxStale {
		l, err := w.take(deadline)
		if err != nil {
			return 0, err
		}
		if n, err := l.write(w.request, deadline); err != nil {
			w.discard(l)
			if l.used && n == 0 {
				continue
			}
			return 0, err
		}
		status, reusable, err := l.answer(w.method)
		l.used = true
		switch {
		case err != nil || (w.want > 0 && !reusable):
			w.discard(l)
		case w.want == 0:
			w.part(l)
		default:
			w.put(l)
		}
		return status, err
	}
	return 0, errClosed
}

// take returns a connection that is open as far as this machine knows. Until
// there are as many as wanted it is a new one.
func (w *wire) take(deadline time.Time) (*link, error) {
	for {
		l := w.oldest()
		if l == nil {
			break
		}
		if !closedByPeer(l.socket) {
			return l, nil
		}
		w.discard(l)
	}
	l, err := w.target.dial(deadline, w.want > 0, w.dialled.Add(1))
	if err != nil {
		return nil, err
	}
	l.in, _ = w.readers.Get().(*bufio.Reader)
	l.in.Reset(l)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	return l, nil
}

// oldest takes the connection that was used longest ago out of the idle ones,
// nil when a new one is to be made.
func (w *wire) oldest() *link {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open < w.want || len(w.idle) == 0 {
		return nil
	}
	l := w.idle[0]
	w.idle = w.idle[1:]
	return l
}

// put keeps a connection for a later request. A target that answers slowly has
// more of them in use at a time than wanted; they are kept as well, so that no
// request of this lane pays for a connection that another one has thrown away.
func (w *wire) put(l *link) {
	const factor = 8
	w.mu.Lock()
	keep := !w.closed && len(w.idle) < factor*w.want
	if keep {
		w.idle = append(w.idle, l)
	}
	w.mu.Unlock()
	if !keep {
		w.discard(l)
	}
}

func (w *wire) discard(l *link) {
	w.mu.Lock()
	w.open--
	w.mu.Unlock()
	_ = l.Close()
	l.in.Reset(nil)
	w.readers.Put(l.in)
}

// part waits for the server to close a connection, not to do it first.
func (w *wire) part(l *link) {
	w.parting.Go(func() {
		_ = l.SetReadDeadline(time.Now().Add(farewell))
		_, _ = l.Conn.Read(make([]byte, 1))
		w.discard(l)
	})
}

// close closes the idle connections. No request may follow.
func (w *wire) close() {
	w.mu.Lock()
	idle := w.idle
	w.idle, w.closed = nil, true
	w.mu.Unlock()
	for _, l := range idle {
		w.discard(l)
	}
	w.parting.Wait()
}

// target is where connections go.
type target struct {
	address string         // host:port
	literal netip.AddrPort // of it, when the host is an address
	tls     *tls.Config    // nil in the clear
	from    []netip.Addr   // connections come from these in turn; none leaves it to the machine
}

func newTarget(u *url.URL) (target, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	t := target{address: net.JoinHostPort(u.Hostname(), port)}
	if address, err := netip.ParseAddrPort(t.address); err == nil {
		t.literal = address
	}
	if u.Scheme == "https" {
		t.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	if u.Hostname() == "" {
		return t, fmt.Errorf("%s names no host", Shown(u))
	}
	return t, nil
}

// dial makes a connection, the nth of its lane. One that is kept for long asks
// the other side now and then whether it is still there.
func (t target) dial(deadline time.Time, keep bool, n uint64) (*link, error) {
	dialer := net.Dialer{Deadline: deadline, KeepAlive: -1}
	if keep {
		dialer.KeepAlive = 15 * time.Second
	}
	var own netip.AddrPort
	if len(t.from) > 0 {
		own = netip.AddrPortFrom(t.from[n%uint64(len(t.from))], 0)
		dialer.Control = choosePortLate
	}
	var socket net.Conn
	var err error
	if t.literal.IsValid() {
		socket, err = dialer.DialTCP(context.Background(), "tcp", own, t.literal)
	} else {
		if own.IsValid() {
			dialer.LocalAddr = net.TCPAddrFromAddrPort(own)
		}
		socket, err = dialer.Dial("tcp", t.address)
	}
	if err != nil {
		return nil, err
	}
	l := &link{Conn: socket, socket: socket}
	if t.tls != nil {
		secure := tls.Client(socket, t.tls)
		_ = socket.SetDeadline(deadline)
		if err := secure.Handshake(); err != nil {
			return nil, errors.Join(err, socket.Close())
		}
		l.Conn = secure
	}
	return l, nil
}

// link is one connection.
type link struct {
	net.Conn

	socket net.Conn // below TLS
	in     *bufio.Reader
	room   int  // how much more of the answer is read
	used   bool // a request was answered on it
}

// Read reads no more than there is room for.
func (l *link) Read(b []byte) (int, error) {
	if l.room <= 0 {
		return 0, errTooLong
	}
	n, err := l.Conn.Read(b[:min(len(b), l.room)])
	l.room -= n
	return n, err
}

// write sends the request and says how much of it has left.
func (l *link) write(request []byte, deadline time.Time) (int, error) {
	if err := l.SetDeadline(deadline); err != nil {
		return 0, err
	}
	return l.Write(request)
}

// answer reads an answer to its last byte, and says whether the connection may
// carry another request.
func (l *link) answer(to *http.Request) (status int, reusable bool, err error) {
	l.room = maxHead
	if _, err := l.in.Peek(1); err != nil {
		if l.used && errors.Is(err, io.EOF) {
			err = errClosed
		}
		return 0, false, err
	}
	response, err := http.ReadResponse(l.in, to)
	for err == nil && response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
		response, err = http.ReadResponse(l.in, to)
	}
	if err != nil {
		return 0, false, err
	}
	l.room = maxBody
	_, err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close() // what was wrong with it, reading has told
	if errors.Is(err, errTooLong) {
		return response.StatusCode, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read body: %w", err)
	}
	reusable = !response.Close && response.StatusCode != http.StatusSwitchingProtocols && l.in.Buffered() == 0
	return response.StatusCode, reusable, nil
}
