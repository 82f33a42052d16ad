package waittest

import (
	"context"
	"testing"
	"time"
)

// often is how often Until looks. A look may be a request to another process.
const often = 50 * time.Millisecond

// Until looks until something holds, for what cannot tell of itself. The test
// fails when it does not hold in time.
func Until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("never: %s", what)
		}
	}
}
