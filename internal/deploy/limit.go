package deploy

import (
	"context"
	"sync"
	"time"
)

// limit is the time that a rollout may take. It stands still while the
// deployment waits for what the user wants to be waited for.
type limit struct {
	mu    sync.Mutex
	timer *time.Timer
	left  time.Duration
	since time.Time // zero while it stands still
	waits int       // that are under way
}

// limited returns a context that ends with the cause when the time is over.
func limited(ctx context.Context, d time.Duration, cause error) (context.Context, *limit, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &limit{left: d, since: time.Now()}
	l.timer = time.AfterFunc(d, func() { cancel(cause) })
	return ctx, l, func() {
		l.timer.Stop()
		cancel(nil)
	}
}

// pause lets the limit stand still until the function that it returns is
// called.
func (l *limit) pause() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waits++; l.waits == 1 && l.timer.Stop() {
		l.left -= time.Since(l.since)
	}
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.waits--; l.waits == 0 {
			l.since = time.Now()
			l.timer.Reset(l.left)
		}
	})
}
