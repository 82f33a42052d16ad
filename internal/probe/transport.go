package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// NewTransport is the base for a Config.Transport: it goes straight to the
// target, over HTTP/1.1, on a new connection for each request or on kept ones.
// Callers may set its TLSClientConfig before the first request; a clone of it
// would not heed that.
//
// A kept connection that the server has closed while it was idle is not used
// again. net/http notices that a moment late, so each connection is looked at
// once more just before the first byte of a request is written; if it is
// closed, nothing is written, and the request goes out on another one. Only
// this, where no byte of the request has left the machine, is ever sent on a
// second connection. Any later failure is a loss.
func NewTransport(keepAlive bool) *http.Transport {
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: c, socket: c}, nil
		},
		// A map that is not nil turns HTTP/2 off, whose streams would share
		// one connection and so hide what happens to the others.
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
		DisableKeepAlives:   !keepAlive,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     90 * time.Second,
	}
	// TLS is begun here and not in net/http, since what counts as written to a
	// conn must be the request and not TLS's own records.
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		secure, err := handshake(ctx, c, address, t.TLSClientConfig)
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		return &conn{Conn: secure, socket: c}, nil
	}
	return t
}

func handshake(ctx context.Context, c net.Conn, address string, config *tls.Config) (net.Conn, error) {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secure := tls.Client(c, config)
	return secure, secure.HandshakeContext(ctx)
}

// conn is a connection that knows how much was written to it, and that does
// not begin a request when the server has closed it. The transport uses a
// connection for one request at a time, so a write that follows a read begins
// a request.
type conn struct {
	net.Conn

	socket   net.Conn // below TLS
	written  atomic.Int64
	answered atomic.Bool // data was read since the last write
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.answered.Store(true)
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if c.answered.CompareAndSwap(true, false) && closedByPeer(c.socket) {
		return 0, errClosed
	}
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// alert says whether a TLS record with this header is an alert, with which a
// server says that it closes the connection. TLS 1.3 hides the kind of a
// record, but only an alert is two bytes long with its type and tag.
func alert(header [5]byte) bool {
	const alertType, hiddenType = 21, 23
	return header[0] == alertType || header[0] == hiddenType && header[3] == 0 && header[4] == 2+1+16
}

// usage follows which connection a request got and whether any byte of it was
// written. Connections that do not come from NewTransport count as written to.
type usage struct{ got atomic.Pointer[gotConn] }

type gotConn struct {
	conn   *conn
	before int64
}

func (u *usage) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*conn); ok && info.Reused {
			u.got.Store(&gotConn{conn: c, before: c.written.Load()})
		}
	}}
}

// untouched says that the request got a kept connection and wrote nothing to
// it.
func (u *usage) untouched() bool {
	g := u.got.Load()
	return g != nil && g.conn.written.Load() == g.before
}
