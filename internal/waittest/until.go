package waittest

import (
	"context"
	"testing"
	"time"
)

// Until looks again soon at first, then less often: a look may be a request to
// another process.
const (
	soon  = 2 * time.Millisecond
	often = 50 * time.Millisecond
)

// Until looks until something holds, for what cannot tell of itself. The test
// fails when it does not hold in time.
func Until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	if !Poll(tb.Context(), holds) {
		tb.Fatalf("never: %s", what)
	}
}

// Poll is Until for scripts, which have no testing.TB: it tells whether
// something came to hold in time.
func Poll(ctx context.Context, holds func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for pause := soon; !holds(); pause = min(2*pause, often) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
	return true
}
