package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// maxBody is how much of an answer is read. What is longer counts as answered
// and costs the connection.
const maxBody = 4 << 20

// maxStale is how many kept connections in a row may be found closed before
// the last one counts as a loss.
const maxStale = 3

// answer is what became of one request.
type answer struct {
	status  int           // of the response, 0 when none came whole
	cause   string        // why it is lost, "" when it is not
	unsent  bool          // this machine could not send it
	latency time.Duration // from sending to the last byte
}

// lost says whether a user would have seen this request fail.
func (a answer) lost() bool { return a.cause != "" }

// ask sends one request and waits for its whole answer.
func (p *Prober) ask(ctx context.Context, transport http.RoundTripper) answer {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	began := time.Now()
	var status int
	var err error
	for range maxStale {
		var use usage
		status, err = p.roundTrip(httptrace.WithClientTrace(ctx, use.trace()), transport)
		if err == nil || !use.untouched() {
			break
		}
	}
	a := answer{status: status, latency: time.Since(began)}
	switch {
	case err != nil && exhausted(err):
		a.unsent = true
	case err != nil:
		a.cause = cause(err)
	case status >= http.StatusInternalServerError:
		a.cause = fmt.Sprint("http ", status)
	}
	return a
}

// roundTrip returns the status of an answer that arrived whole.
func (p *Prober) roundTrip(ctx context.Context, transport http.RoundTripper) (int, error) {
	resp, err := transport.RoundTrip(p.request(ctx))
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }() // what was wrong with it, reading has told
	if _, err := io.CopyN(io.Discard, resp.Body, maxBody); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read body: %w", err)
	}
	return resp.StatusCode, nil
}

// onceBody is a request body that cannot be read again. net/http repeats a
// request that failed on a kept connection only if it has no body or knows how
// to rewind it, so this keeps it from repeating any.
type onceBody struct{ io.Reader }

func (onceBody) Close() error { return nil }

func (p *Prober) request(ctx context.Context) *http.Request {
	r := (&http.Request{
		Method:     p.cfg.Method,
		URL:        p.target,
		Host:       p.target.Host,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     p.cfg.Header.Clone(),
		Body:       onceBody{strings.NewReader("")},
	}).WithContext(ctx)
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "towline-prober")
	}
	switch p.cfg.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		const text = "probe\n"
		r.Body = onceBody{strings.NewReader(text)}
		r.ContentLength = int64(len(text))
	}
	return r
}
