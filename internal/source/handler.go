package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/url"
	"regexp"
	"sync/atomic"
	"time"
)

// Handler serves the repositories over git's smart HTTP protocol, versions 0
// to 2, by running git http-backend for each request. Whoever mounts it, at
// Prefix, has authenticated the caller before; Pushes tells which requests
// write. Bodies stream both ways and are never held in memory. A middleware
// that wraps the ResponseWriter must have Unwrap, or progress is shown late.
func (r *Repositories) Handler() http.Handler {
	return http.HandlerFunc(r.serve)
}

// Pushes says whether a request to Handler belongs to a push, so that the
// server in front can ask for a role that may write.
func Pushes(req *http.Request) bool {
	q, refused := parseRequest(req.Method, req.URL.Path, req.URL.RawQuery)
	return refused == nil && q.service == receivePack
}

func (r *Repositories) serve(w http.ResponseWriter, req *http.Request) {
	q, refused := parseRequest(req.Method, req.URL.Path, req.URL.RawQuery)
	if refused == nil && !r.Exists(q.repository) {
		refused = &refusal{http.StatusNotFound, r.require(q.repository).Error()}
	}
	if refused == nil && q.service == receivePack {
		if url, ok := r.MirrorOf(q.repository); ok {
			refused = &refusal{http.StatusForbidden, fmt.Sprintf("repository %s is a mirror: push to %s instead, it is fetched from there", q.repository, url)}
		}
	}
	if refused != nil {
		// git shows a body to its user only if it is text/plain.
		http.Error(w, refused.message, refused.status)
		return
	}
	log := r.log.With("repository", q.repository, "service", q.service)
	conn := newConnection(w, req.Body, r.cfg.Idle, q.service == receivePack)
	defer conn.release()

	logged := &lineLog{log: log}
	handler := &cgi.Handler{
		Path:   r.git,
		Args:   []string{"http-backend"},
		Dir:    r.dir,
		Env:    append(r.environ(r.Path(q.repository)), r.cgiEnviron(q, req)...),
		Logger: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Stderr: logged,
	}
	start := time.Now()
	handler.ServeHTTP(conn, forward(q, req, conn))
	logged.flush()
	log.Debug("served git", "advertise", q.advertise, "seconds", time.Since(start).Seconds())
	if q.service == receivePack && !q.advertise {
		r.tidySoon(q.repository) //nolint:contextcheck // it goes on when the request has ended
	}
	conn.drain()
}

// The bytes of a push that git has refused half-way which are still read, so
// that the pusher's git comes to read why, and the longest wait for the next.
const (
	drainLimit = 64 << 20
	drainIdle  = 2 * time.Second
)

// cgiEnviron is what http-backend and the hook need to know besides settings.
func (r *Repositories) cgiEnviron(q request, req *http.Request) []string {
	env := []string{"GIT_PROJECT_ROOT=" + r.dir, "GIT_HTTP_EXPORT_ALL=1"}
	if version := req.Header.Get("Git-Protocol"); protocolVersion.MatchString(version) {
		env = append(env, "GIT_PROTOCOL="+version)
	}
	if q.service == receivePack {
		env = append(env, r.hookEnviron(q.repository)...)
	}
	return env
}

var protocolVersion = regexp.MustCompile(`^version=[0-9]$`)

// forward is the request as http-backend gets it. Only what it needs is
// passed: package cgi turns each header into a variable of the environment,
// where a token would be seen by git's children and the hook.
func forward(q request, req *http.Request, body io.ReadCloser) *http.Request {
	header := http.Header{}
	for _, key := range []string{"Accept", "Content-Type", "Content-Encoding", "User-Agent"} {
		if v := req.Header.Get(key); v != "" {
			header.Set(key, v)
		}
	}
	fwd := &http.Request{
		Method:     req.Method,
		URL:        &url.URL{Path: q.path(), RawQuery: q.query()},
		Proto:      req.Proto,
		ProtoMajor: req.ProtoMajor,
		ProtoMinor: req.ProtoMinor,
		Header:     header,
		Body:       body,
		// A chunked body has length -1. package cgi refuses those that say so
		// in TransferEncoding; http-backend reads to the end when it is told
		// no length, which is what a large push needs.
		ContentLength: req.ContentLength,
		Host:          req.Host,
		RemoteAddr:    req.RemoteAddr,
		TLS:           req.TLS,
	}
	return fwd.WithContext(req.Context())
}

// connection is both directions of one request, each with an idle limit.
type connection struct {
	http.ResponseWriter
	body    io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
	finish  bool

	refused atomic.Bool // git has answered with an error
	ended   bool        // reading; the goroutine that feeds git is done before drain asks
	broken  bool        // writing
}

// newConnection prepares the connection for an exchange in which git answers
// while it still reads. With finish, git's process is left to come to its end
// when the client has gone: the push is stored by then or about to be, and
// whoever waits for it must hear of it.
func newConnection(w http.ResponseWriter, body io.ReadCloser, idle time.Duration, finish bool) *connection {
	c := &connection{ResponseWriter: w, body: body, control: http.NewResponseController(w), idle: idle, finish: finish}
	// HTTP/2 is full duplex of itself and answers ErrNotSupported.
	_ = c.control.EnableFullDuplex()
	return c
}

// Read is called by the goroutine that feeds git.
func (c *connection) Read(p []byte) (int, error) {
	_ = c.control.SetReadDeadline(time.Now().Add(c.patience()))
	n, err := c.body.Read(p)
	if err == io.EOF {
		// From here on net/http watches the connection for its end; that may
		// take as long as git works.
		_ = c.control.SetReadDeadline(time.Time{})
		c.ended = true
	}
	return n, err
}

// patience is how long to wait for the client's next bytes. A client that sees
// an error stops sending and waits for the end of the answer.
func (c *connection) patience() time.Duration {
	if c.refused.Load() {
		return min(c.idle, drainIdle)
	}
	return c.idle
}

// WriteHeader notes an error, and lets no Read that is under way wait longer.
func (c *connection) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		c.refused.Store(true)
		_ = c.control.SetReadDeadline(time.Now().Add(c.patience()))
	}
	c.ResponseWriter.WriteHeader(status)
}

// Close leaves the body open: net/http closes it.
func (c *connection) Close() error { return nil }

// Write sends git's answer at once, since it is progress for a person.
func (c *connection) Write(p []byte) (int, error) {
	if c.broken {
		return len(p), nil
	}
	_ = c.control.SetWriteDeadline(time.Now().Add(c.idle))
	n, err := c.ResponseWriter.Write(p)
	if err == nil {
		if err = c.control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	if err != nil && c.finish {
		c.broken = true
		return len(p), nil
	}
	return n, err
}

// drain reads what git left of the body, within limits. A body whose end is
// not reached costs the connection: net/http cannot use it again, would wait
// for the rest without a limit, and panics if it then finds the end (1.26).
func (c *connection) drain() {
	if c.ended {
		return
	}
	c.refused.Store(true)
	_, _ = io.CopyN(io.Discard, c, drainLimit)
	if !c.ended {
		panic(http.ErrAbortHandler)
	}
}

// release gives the connection back to net/http without deadlines of ours.
func (c *connection) release() {
	_ = c.control.SetReadDeadline(time.Time{})
	_ = c.control.SetWriteDeadline(time.Time{})
}

// lineLog logs what git says on its standard error, line by line, at most 50
// lines of at most 1 KiB.
type lineLog struct {
	log   *slog.Logger
	line  bytes.Buffer
	lines int
}

func (l *lineLog) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n':
			l.flush()
		case l.line.Len() < 1<<10:
			l.line.WriteByte(b)
		}
	}
	return len(p), nil
}

func (l *lineLog) flush() {
	if l.line.Len() > 0 && l.lines < 50 {
		l.lines++
		l.log.Warn("git http-backend", "message", clean(l.line.String()))
	}
	l.line.Reset()
}
