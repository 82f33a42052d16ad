package verdict

import (
	"context"
	"time"
)

// How long a prober elsewhere is asked to rest, and to wake up again, before the
// deployment goes on: a cut-over that is hardly measured is worth the wait.
const (
	restPatience = 10 * time.Second
	wakePatience = time.Minute
)

// Rest lets the prober send little while a person is waited for, which may take
// hours, and returns what lets it send all again. The timeline says both. The
// counts are none the worse: nothing is cut over meanwhile.
func (w *Watchman) Rest(ctx context.Context) (wake func()) {
	p := w.current()
	if p == nil {
		return func() {}
	}
	limited, cancel := context.WithTimeout(ctx, restPatience)
	defer cancel()
	if err := p.rest(limited); err != nil {
		w.Log.Line("probe   goes on at its full rate: %s", err)
		return func() {}
	}
	p.Mark("waits for a decision, 1 request/s")
	w.Log.Line("probe   sends 1 request/s until somebody decides")
	return func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), wakePatience)
		defer cancel()
		if pod, ok := p.(*podProber); ok && pod.lost(limited) {
			return // It is renewed before the next step.
		}
		if err := p.wake(limited); err != nil {
			w.Log.Line("probe   cannot be told to send %d requests/s again: %s", w.Rate(), err)
			return
		}
		p.Mark("decided")
	}
}
