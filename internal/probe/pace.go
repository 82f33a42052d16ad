package probe

import (
	"context"
	"time"
)

// maxLate is by how much the prober may fall behind its pace, when the machine
// gives it no time, and still catch up with a burst. What is later than that
// is not sent but counted, so that a starved prober is seen and not taken for
// a healthy application.
const maxLate = time.Second

// pace starts requests at the configured rate until ctx ends. Whether request
// n is due depends on the time since the start alone, so that neither slow
// answers nor late ticks slow down the rate.
func (p *Prober) pace(ctx context.Context) {
	interval := time.Second / time.Duration(p.cfg.Rate)
	tick := time.NewTicker(min(max(interval, 2*time.Millisecond), maxLate/10)) // often enough that a slow pace is not late by itself
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			p.tally.stopAt(time.Now())
			return
		case <-tick.C:
		}
		since := time.Since(p.started)
		for ; p.due(n) <= since; n++ {
			p.launch(n, since-p.due(n))
		}
	}
}

// due is when request n is to be sent, counted from the start.
func (p *Prober) due(n int) time.Duration {
	return time.Duration(float64(n) / float64(p.cfg.Rate) * float64(time.Second))
}

// launch starts request n, which is late by that much, or counts it as not
// sent when it is too late or too many are in flight. Even ones take the fresh
// lane, odd ones the kept connections.
func (p *Prober) launch(n int, late time.Duration) {
	if late > maxLate {
		p.tally.miss()
		return
	}
	select {
	case p.slots <- struct{}{}:
	default:
		p.tally.miss()
		return
	}
	lane := lane(n % 2)
	p.tally.launch(lane)
	p.flying.Go(func() {
		defer func() { <-p.slots }()
		p.record(lane, p.ask(p.lanes[lane]))
	})
}

// record counts an answer, and tells the log of each cause once.
func (p *Prober) record(l lane, a answer) {
	if first := p.tally.record(l, a, time.Now()); first {
		p.log.Warn("request lost", "cause", a.cause, "lane", l.String(), "after", time.Since(p.started).Round(time.Millisecond))
	}
}
