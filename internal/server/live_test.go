package server

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stuck is a response whose client has stopped reading: each write waits for
// longer than a breath and then fails.
type stuck struct {
	returned  atomic.Bool
	writeLate atomic.Bool
	flushLate atomic.Bool
}

func (s *stuck) Write([]byte) (int, error) {
	s.writeLate.Store(s.writeLate.Load() || s.returned.Load())
	<-time.After(3 * breath)
	return 0, errors.New("connection reset by peer")
}

func (s *stuck) Flush() {
	s.flushLate.Store(s.flushLate.Load() || s.returned.Load())
}

func TestNothingIsFlushedAfterTheHandlerReturned(t *testing.T) {
	t.Parallel()
	// A late flush needs a tick that comes together with the end: many tries
	// leave it no way to hide.
	for i := range 40 {
		t.Run(fmt.Sprint("client ", i), func(t *testing.T) {
			t.Parallel()
			client := &stuck{}
			p := newPaced(client)
			if p.write(strings.Repeat("x", 128<<10)) == nil {
				t.Error("write to a broken connection reports no error")
			}
			if p.close() == nil {
				t.Error("close of a broken connection reports no error")
			}
			client.returned.Store(true)
			<-time.After(2 * breath)
			if client.writeLate.Load() || client.flushLate.Load() {
				t.Error("the response was touched after close")
			}
		})
	}
}
