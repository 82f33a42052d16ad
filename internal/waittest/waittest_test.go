package waittest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// witness is a test that is watched while it waits.
type witness struct {
	testing.TB
	ctx    context.Context //nolint:containedctx // A test has one.
	failed string
}

func (w *witness) Context() context.Context { return w.ctx }

func (w *witness) Fatalf(format string, args ...any) {
	w.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// waits lets a test wait, and says how long it took and how it failed.
func waits(t *testing.T, wait func(testing.TB)) (took time.Duration, failed string) {
	w := &witness{TB: t, ctx: t.Context()}
	begin := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait(w)
	}()
	<-done
	return time.Since(begin), w.failed
}

func TestALogTellsOfItsText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log Log
		go func() {
			for _, text := range []string{"step 1", " of 2\nst", "ep 2 of 2\n"} {
				time.Sleep(time.Second)
				fmt.Fprint(&log, text)
			}
		}()
		if took, failed := waits(t, func(tb testing.TB) { log.Await(tb, "step 2") }); took != 3*time.Second || failed != "" {
			t.Errorf("after %s, want it with the write that completes it: %s", took, failed)
		}
		if took, failed := waits(t, func(tb testing.TB) { log.Await(tb, "step 1 of 2\n") }); took != 0 || failed != "" {
			t.Errorf("what is there already after %s: %s", took, failed)
		}
		if took, failed := waits(t, func(tb testing.TB) { log.Await(tb, "step 3") }); took != Patience || !strings.Contains(failed, `"step 3"`) {
			t.Errorf("what never comes after %s: %q", took, failed)
		}
	})
}

func TestUntilLooksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		if took, failed := waits(t, func(tb testing.TB) { Until(tb, "three looks", func() bool { looks++; return looks == 3 }) }); took != soon+2*soon || failed != "" {
			t.Errorf("after %s: %s", took, failed)
		}
		if took, failed := waits(t, func(tb testing.TB) { Until(tb, "the end of days", func() bool { return false }) }); took != Patience || failed != "never: the end of days" {
			t.Errorf("after %s: %q", took, failed)
		}
	})
}
