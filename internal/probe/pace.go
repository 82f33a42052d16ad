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

// pace starts requests at the configured rate, or the one of a rest, until ctx ends. Whether request
// n is due depends on the time since the start alone, so that neither slow
// answers nor late ticks slow down the rate.
func (p *Prober) pace(ctx context.Context) {
	ticker := time.NewTicker(tick(p.cfg.Rate))
	defer ticker.Stop()
	started, rate, resting := p.started, p.cfg.Rate, false
	for n := 0; ; {
		select {
		case <-ctx.Done():
			p.tally.stopAt(time.Now())
			return
		case <-ticker.C:
		}
		if now := p.resting.Load(); now != resting {
			resting, started, rate, n = now, time.Now(), p.cfg.Rate, 0
			if resting {
				rate = min(rate, restRate)
			}
			p.tally.rest(resting, started)
			ticker.Reset(tick(rate))
		}
		since := time.Since(started)
		for ; due(n, rate) <= since; n++ {
			taken := lane(n % 2)
			if resting {
				taken = fresh
			}
			p.launch(taken, since-due(n, rate))
		}
	}
}

// due is when request n is to be sent, counted from the start of that rate.
func due(n, rate int) time.Duration {
	return time.Duration(float64(n) / float64(rate) * float64(time.Second))
}

// launch starts a request, which is late by that much, or counts it as not
// sent when it is too late or too many are in flight. Every other one takes the
// fresh lane, the others the kept connections.
func (p *Prober) launch(lane lane, late time.Duration) {
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
