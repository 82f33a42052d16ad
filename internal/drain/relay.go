package drain

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// dialTime is how long the application may take to accept a connection.
const dialTime = 10 * time.Second

// relay is one client's connection and the one to the application that
// belongs to it. Two pumps, up and down, each read one of them and write the
// other.
type relay struct {
	*proxy
	client, app *net.TCPConn
	address     string // of the client, without its port
	ended       chan struct{}

	mu         sync.Mutex
	kind       kind
	pending    []*exchange // sent to the application and not answered to the end
	midRequest bool        // a request has come in part
	shut       bool        // the client has been sent the end of the answers
	told       bool        // the client knows that it must go elsewhere
	closed     bool        // it was shut because it was idle
	last       time.Time   // when anything last went by
	lastUp     bool        // it came from the client
	streams    streams     // of HTTP/2

	out  sync.Mutex // held to write to a client of HTTP/2
	down frames     // guarded by out
}

// kind is what is known of the protocol.
type kind int

const (
	unknown  kind = iota // the client has sent nothing yet
	http1                //
	http2                //
	opaque               // not understood
	upgraded             // was HTTP/1.1, and is now whatever both have agreed on
)

// exchange is one request of HTTP/1.1 that waits for its answer.
type exchange struct {
	method   string
	answered chan struct{}
}

// relay connects a client to the application. Where nobody listens it resets
// the connection, which is as near as can be to refusing it.
func (p *proxy) relay(client *net.TCPConn, target int) {
	host, _, _ := net.SplitHostPort(client.LocalAddr().String())
	address, _, _ := net.SplitHostPort(client.RemoteAddr().String())
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(target)), dialTime)
	app, ok := conn.(*net.TCPConn)
	if err != nil || !ok {
		p.Logger.Debug("reach the application", "error", err)
		reset(client)
		return
	}
	r := &relay{proxy: p, client: client, app: app, address: address, ended: make(chan struct{}), last: time.Now()}
	p.relays.Store(r, struct{}{})
	defer p.relays.Delete(r)
	var pumps sync.WaitGroup
	pumps.Go(r.pumpUp)
	r.pumpDown()
	close(r.ended)
	pumps.Wait()
	_ = client.Close()
	_ = app.Close()
}

// reset closes a connection so that the other side sees an error, not an end.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// cut ends both connections at once.
func (r *relay) cut() {
	reset(r.client)
	reset(r.app)
}

// touch notes that something went by.
func (r *relay) touch(up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.lastUp = time.Now(), up
}

func (r *relay) setKind(k kind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kind = k
	r.midRequest = false
}

// finish sends the client the end of the answers and gives it some time to
// close the connection. Closing both directions at once would, when something
// from the client is on its way, reset the connection and destroy an answer
// that the client has not read yet.
func (r *relay) finish(linger time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finishLocked(linger)
}

func (r *relay) finishLocked(linger time.Duration) {
	if r.shut {
		return
	}
	r.shut = true
	_ = r.client.CloseWrite()
	_ = r.client.SetReadDeadline(time.Now().Add(linger))
}

// raw passes on what comes, without looking at it, until the end.
func (r *relay) raw(dst, src *net.TCPConn, w *window, up bool) error {
	bulk, _ := bulks.Get().(*[bulkSize]byte)
	defer bulks.Put(bulk)
	n := copy(bulk[:], w.bytes())
	rest := w.bytes()[n:]
	w.advance(n)
	for {
		r.touch(up)
		if _, err := dst.Write(bulk[:n]); err != nil {
			return err
		}
		if len(rest) > 0 {
			n = copy(bulk[:], rest)
			rest = rest[n:]
			continue
		}
		var err error
		if n, err = src.Read(bulk[:]); n == 0 && err != nil {
			return err
		}
	}
}

// tell tells a client of HTTP/2 at once. One of HTTP/1.1 can be told with an
// answer only.
func (r *relay) tell() {
	r.mu.Lock()
	isHTTP2 := r.kind == http2
	r.mu.Unlock()
	if isHTTP2 {
		// The pump may be writing to a slow client: the next one must not wait
		// for that.
		go func() {
			r.out.Lock()
			defer r.out.Unlock()
			r.goAway()
		}()
	}
}

// close closes the connection if it is idle, and tells whether it must be
// waited for. Idle is what had no request for that long; the client has no
// reason to send one in this very moment. What has come already is seen here,
// even when no pump has read it, so that only a request is lost that is on the
// wire while the end is sent to meet it.
func (r *relay) close(quiet time.Duration) (wait bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.shut || r.kind == upgraded:
		return false
	case r.kind == http2:
		return r.closeHTTP2(quiet)
	case r.midRequest || len(r.pending) > 0 || r.kind == opaque && r.lastUp:
		return true
	case time.Since(r.last) < quiet || readable(r.client):
		return true
	}
	r.drain.idle.Add(1)
	r.closed = true
	r.finishLocked(lingerTime)
	return false
}

// late notes that a request came after an idle connection was closed.
func (r *relay) late() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.closed = false
		r.drain.missed.Add(1)
	}
}

// hangUp tells the application that its client has gone.
func (r *relay) hangUp(err error) {
	r.mu.Lock()
	idle := len(r.pending) == 0
	r.mu.Unlock()
	if gone(err) || r.closes.note(time.Now()) && idle {
		reset(r.app)
		return
	}
	_ = r.app.CloseWrite()
}

// gone tells that the other side has reset the connection.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF)
}
