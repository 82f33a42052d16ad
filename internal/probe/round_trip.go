package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

// roundTrips is the sender for a way that is given as net/http's transports,
// such as one that adds a cluster's credentials. It uses them in turn, each
// for one request at a time as far as the target is quick enough.
type roundTrips struct {
	request    *http.Request
	body       string
	transports []http.RoundTripper
	next       atomic.Uint64
}

var _ sender = (*roundTrips)(nil)

// send implements sender.
func (s *roundTrips) send(deadline time.Time) (status int, err error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	transport := s.transports[(s.next.Add(1)-1)%uint64(len(s.transports))]
	for range maxStale {
		var use usage
		status, err = s.roundTrip(httptrace.WithClientTrace(ctx, use.trace()), transport)
		if err == nil || !use.untouched() {
			break
		}
	}
	return status, err
}

// roundTrip returns the status of an answer that arrived whole.
func (s *roundTrips) roundTrip(ctx context.Context, transport http.RoundTripper) (int, error) {
	request := s.request.Clone(ctx)
	request.Body = onceBody{strings.NewReader(s.body)}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }() // what was wrong with it, reading has told
	if _, err := io.CopyN(io.Discard, response.Body, maxBody); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read body: %w", err)
	}
	return response.StatusCode, nil
}

func (s *roundTrips) close() {
	for _, t := range s.transports {
		if c, ok := t.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// onceBody is a request body that cannot be read again. net/http repeats a
// request that failed on a kept connection only if it has no body or knows how
// to rewind it, so this keeps it from repeating any.
type onceBody struct{ io.Reader }

func (onceBody) Close() error { return nil }
