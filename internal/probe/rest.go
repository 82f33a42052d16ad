package probe

import "time"

// restRate is how many requests are sent in a second while a prober rests.
const restRate = 1

// Rest lets the prober send but one request per second, all of them on new
// connections, until Wake is called: while a deployment waits for a person's
// word, perhaps for hours, nothing is cut over. What is lost counts as ever.
// The time between two requests is no gap then, and neither the time at rest
// nor its requests are in the verdict's Rate.
func (p *Prober) Rest() { p.resting.Store(true) }

// Wake ends a Rest: requests go out at the configured rate again.
func (p *Prober) Wake() { p.resting.Store(false) }

// tick is how often to look whether a request is due: often enough that a slow
// pace is not late by itself.
func tick(rate int) time.Duration {
	return min(max(time.Second/time.Duration(rate), 2*time.Millisecond), maxLate/10)
}

// rest notes that the prober rests from now on, or does so no more.
func (t *tally) rest(resting bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	requests := t.lanes[fresh].requests + t.lanes[keepAlive].requests
	if resting {
		t.restSince, t.restFrom = now, requests
		return
	}
	t.rested += now.Sub(t.restSince)
	t.restRequests += requests - t.restFrom
	t.restSince = time.Time{}
	// Nothing was asked of this lane meanwhile, and the last answer of the other
	// is as old as the slow pace let it become.
	t.lanes[keepAlive].gaps.last = now
	for _, g := range []*gaps{&t.lanes[fresh].gaps, &t.both} {
		if g.last = g.last.Add(time.Second / restRate); g.last.After(now) {
			g.last = now
		}
	}
}

// atRest is how long the prober has rested until then, and with how many
// requests.
func (t *tally) atRest(until time.Time) (time.Duration, int) {
	if t.restSince.IsZero() {
		return t.rested, t.restRequests
	}
	requests := t.lanes[fresh].requests + t.lanes[keepAlive].requests
	return t.rested + max(until.Sub(t.restSince), 0), t.restRequests + requests - t.restFrom
}

// pause is how much of the time since the last answer is the pace's own.
func (t *tally) pause() time.Duration {
	if t.restSince.IsZero() {
		return 0
	}
	return time.Second / restRate
}
