package verdict

import (
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// Counted is what the requests through a deployment have come to so far, over
// all processes that have carried it out. The journal keeps it, so that a
// process which is killed does not take its losses with it.
type Counted struct {
	Requests int `json:"requests"`
	Lost     int `json:"lost"`
	// Aside is how many of the lost ones the budget leaves aside; see Forgive.
	Aside int `json:"aside,omitempty"`
	// Gone is the part of it whose probers have ended, nil when there is none. A
	// prober that goes on in a pod tells the rest itself.
	Gone *Counted `json:"gone,omitempty"`
}

func (c *Counted) plus(v pipeline.Verdict, aside int) Counted {
	return Counted{Requests: c.Requests + v.Requests, Lost: c.Lost + v.Lost, Aside: c.Aside + aside}
}

// Counted is what has been counted since the first change, nil before that. A
// prober in a pod is counted too: it may be lost with its node.
func (w *Watchman) Counted() *Counted {
	w.mu.Lock()
	armed, gone := w.armed, w.gone
	w.mu.Unlock()
	if !armed {
		return nil
	}
	v := w.snapshot()
	if w.final != nil && w.final.Requests > 0 {
		v = *w.final
	}
	all := gone.plus(v, w.forgiven(v))
	if gone.Requests > 0 {
		all.Gone = &gone
	}
	return &all
}

// inherit takes over what was counted before by probers that have ended. It
// stays in the budget and is said in the verdict.
func (w *Watchman) inherit(before *Counted) {
	if before == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = Counted{Requests: before.Requests, Lost: before.Lost, Aside: before.Aside}
	if before.Lost > 0 {
		w.spent += before.Lost - before.Aside
		w.earlier = fmt.Sprintf("a process ended in the middle, whose requests were lost, %d of %d", before.Lost, before.Requests)
	}
}

// Verdict is what is left to say of requests whose prober has ended with its
// process, nil when none were counted.
func (c *Counted) Verdict() *pipeline.Verdict {
	if c == nil || c.Requests == 0 {
		return nil
	}
	return &pipeline.Verdict{Requests: c.Requests, Lost: c.Lost, Partial: "counted until its process ended"}
}
