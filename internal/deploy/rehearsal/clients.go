package rehearsal

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// How many connections are opened. Every one of the busy ones has a request
// on its way at any moment.
const (
	busyClients = 8
	idleClients = 4
)

const (
	// answerTime is how long one answer may take.
	answerTime = 30 * time.Second
	// calmAfter is how long after the pod was told to end the busy clients go
	// on without a pause. An application that pays no heed is not to be put
	// under full load for its whole grace period.
	calmAfter = 3 * time.Second
	calmPause = 50 * time.Millisecond
	// settleTime is how long the end of a connection may take to be noticed.
	settleTime = time.Second
	// maxLag is how late the end of a connection may be noticed.
	maxLag = 3 * time.Second
	// maxAnswer is how much of an answer is read.
	maxAnswer = 1 << 20
)

// client is one connection and what became of it. The goroutine that uses it
// writes the times; they are read when it has ended.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	told time.Time // when an answer said that the connection ends
	cut  time.Time // when a request was left without an answer
	shut time.Time // when the connection was closed without a request on it

	mu      sync.Mutex
	closed  bool      // the rehearsal is over
	waiting bool      // for an answer
	last    time.Time // when the last answer came
}

// clients are all of a rehearsal.
type clients struct {
	*rehearsal
	busy, idle []*client
	keepAlive  bool          // the application keeps connections open
	lag        time.Duration // how much later than it happens the end of a connection is noticed
	asked      time.Time
	mu         sync.Mutex // guards asked
	running    sync.WaitGroup
}

// connect opens the connections and sends a first request on each.
func (r *rehearsal) connect(ctx context.Context) (*clients, error) {
	all := &clients{rehearsal: r, keepAlive: true}
	for i := range busyClients + idleClients {
		c, err := r.open(ctx)
		if err != nil {
			all.close()
			return nil, err
		}
		if i < busyClients {
			all.busy = append(all.busy, c)
		} else {
			all.idle = append(all.idle, c)
		}
		last, err := r.ask(c, "")
		if err != nil {
			all.close()
			return nil, &unmeasured{fmt.Sprintf("port %d does not answer a request of HTTP/1.1: %v", r.Port.Number, err)}
		}
		all.keepAlive = all.keepAlive && !last
	}
	lag, err := r.lag(ctx)
	if err != nil {
		all.close()
		return nil, err
	}
	all.lag = lag
	return all, nil
}

// lag measures how much later than it happens the end of a connection is
// noticed here: on the way through the API server a node's container runtime
// may keep the end of a connection to itself for a second. The application is
// asked to close one behind its answer for that.
func (r *rehearsal) lag(ctx context.Context) (time.Duration, error) {
	c, err := r.open(ctx)
	if err != nil {
		return 0, err
	}
	defer c.close()
	if _, err := r.ask(c, "Connection: close\r\n"); err != nil {
		return 0, nil // It has answered others before: this costs precision only.
	}
	answered := time.Now()
	_ = c.conn.SetReadDeadline(answered.Add(maxLag))
	if _, err := c.r.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil // It does not close it at all.
	}
	return time.Since(answered), nil
}

func (r *rehearsal) open(ctx context.Context) (*client, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the spare pod: %w", err)
	}
	if r.Port.TLS {
		// Who the spare pod is, the API server has vouched for.
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: r.Host, NextProtos: []string{"http/1.1"}}) //nolint:gosec // see above
	}
	return &client{conn: conn, r: bufio.NewReader(conn)}, nil
}

// ask sends one request, with further header fields, and reads its whole
// answer. last tells that the application says it closes the connection.
func (r *rehearsal) ask(c *client, fields string) (last bool, err error) {
	c.wait(true)
	if err := c.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: towline-rehearsal\r\nAccept: */*\r\n%s\r\n", r.Path, r.Host, fields); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return false, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return false, err
	}
	if n == maxAnswer {
		return false, errors.New("the answer is longer than 1 MiB: name a path with a shorter one")
	}
	c.wait(false)
	return response.Close, nil
}

func (c *client) wait(waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting && !waiting {
		c.last = time.Now()
	}
	c.waiting = waiting
}

// continueOn goes on with another connection, unless the rehearsal is over.
func (c *client) continueOn(next *client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = next.conn.Close()
		return false
	}
	c.conn, c.r = next.conn, next.r
	return true
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	_ = c.conn.Close()
}

func (c *client) isWaiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// start lets the busy clients send and the idle ones listen, until their
// connections end.
func (all *clients) start(ctx context.Context) {
	for _, c := range all.busy {
		all.running.Go(func() { all.send(ctx, c) })
	}
	for _, c := range all.idle {
		all.running.Go(func() {
			_ = c.conn.SetDeadline(time.Time{})
			_, _ = c.r.Peek(1)
			c.shut = time.Now()
		})
	}
}

// send sends one request after another until the connection ends.
func (all *clients) send(ctx context.Context, c *client) {
	for {
		last, err := all.ask(c, "")
		switch {
		case err != nil:
			c.cut = time.Now()
			return
		case last && all.wasAsked():
			c.told = time.Now()
			_ = c.conn.Close()
			return
		case last:
			// It keeps no connections open at all: each request gets its own.
			_ = c.conn.Close()
			next, err := all.open(ctx)
			if err != nil || !c.continueOn(next) {
				c.shut = time.Now()
				return
			}
		}
		all.pause()
	}
}

func (all *clients) pause() {
	all.mu.Lock()
	calm := !all.asked.IsZero() && time.Since(all.asked) > calmAfter
	all.mu.Unlock()
	if calm {
		time.Sleep(calmPause)
	}
}

func (all *clients) wasAsked() bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	return !all.asked.IsZero()
}

// note remembers when the pod was asked to end, and returns how many requests
// waited for their answer then.
func (all *clients) note(at time.Time) (waiting int) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.asked = at
	for _, c := range all.busy {
		if c.isWaiting() {
			waiting++
		}
	}
	return waiting
}

// settle waits until the end of the pod has reached every client: the way
// there may be a long one.
func (all *clients) settle(ctx context.Context) {
	ended := make(chan struct{})
	go func() { all.running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	case <-time.After(settleTime + all.lag):
	}
}

func (all *clients) close() {
	for _, list := range [][]*client{all.busy, all.idle} {
		for _, c := range list {
			c.close()
		}
	}
}
