package verdict

import (
	"slices"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// pardon counts the losses that the budget leaves aside: connections that an old
// set cuts when it ends, in the time from its first pod's end until the last
// one's, and for the time of one request longer. It is pure.
type pardon struct {
	over  int       // of the windows that are over
	sets  int       // that are going now
	open  bool      // a window is
	base  int       // cut connections when it was opened
	until time.Time // when it ends; zero while a set is going
}

// begin opens a window, when none is open.
func (p *pardon) begin(cut int, now time.Time) {
	p.settle(cut, now)
	if !p.open {
		p.open, p.base = true, cut
	}
	p.sets++
	p.until = time.Time{}
}

// end lets the window end a while after the last set has gone.
func (p *pardon) end(now time.Time) {
	if p.sets--; p.sets == 0 {
		p.until = now.Add(probe.DefaultTimeout)
	}
}

// of is how many of the cut connections are left aside.
func (p *pardon) of(cut int, now time.Time) int {
	p.settle(cut, now)
	if p.open {
		return p.over + max(cut-p.base, 0)
	}
	return p.over
}

// restart is for a prober that counts from nothing.
func (p *pardon) restart() { p.over, p.base = 0, 0 }

func (p *pardon) settle(cut int, now time.Time) {
	if p.open && !p.until.IsZero() && now.After(p.until) {
		p.over, p.open = p.over+max(cut-p.base, 0), false
	}
}

// cutKept is how many requests on kept connections were lost because the other
// side closed or reset the connection.
func cutKept(v pipeline.Verdict) (cut int) {
	for cause, n := range v.KeepAlive.Losses {
		if probe.Cut(cause) {
			cut += n
		}
	}
	return cut
}

// Forgive leaves the connections that a set cuts when it ends outside the
// budget, until the function that it returns is called when its pods have gone.
// To go back would cut the connections to the new set as well, and would keep
// people from ever shipping the mend. The verdict counts these losses as it
// counts all others, and names their cause.
func (w *Watchman) Forgive() (gone func()) {
	w.Mark(cuts)
	cut := cutKept(w.snapshot())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pardon.begin(cut, time.Now())
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pardon.end(time.Now())
	}
}

// cuts marks that a set begins to go whose losses are left aside.
const cuts = "old pods go, what they cut is left aside"

// takenUp leaves aside what an earlier process of this deployment did: the cut
// connections of a prober that has gone on, as far as they fall into the time
// since a set has begun to go.
func (w *Watchman) takenUp(v pipeline.Verdict) {
	lost := 0
	if at := slices.IndexFunc(v.Marks, func(m pipeline.Mark) bool { return m.Text == cuts }); at >= 0 {
		for _, m := range v.Marks[at:] {
			lost += m.Lost
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pardon.over += min(lost, cutKept(v))
}

// forgiven is how many of the losses are left aside.
func (w *Watchman) forgiven(v pipeline.Verdict) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pardon.of(cutKept(v), time.Now())
}
