package deploy

import "github.com/towline/towline/internal/pipeline"

// forgive leaves the losses on kept connections aside from now on, when an old
// set goes whose application cuts them: its rehearsal has said so, or nobody has
// rehearsed it. To go back would cut the connections to the new set as well, and
// would keep people from ever shipping the mend. The verdict counts these losses
// as it counts all others, and names their cause.
func (w *watchman) forgive() {
	lost := w.snapshot().KeepAlive.Lost
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining == nil {
		w.draining = &lost
	}
}

// forgiven is how many of the losses are left aside.
func (w *watchman) forgiven(v pipeline.Verdict) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining == nil {
		return 0
	}
	return v.KeepAlive.Lost - *w.draining
}
