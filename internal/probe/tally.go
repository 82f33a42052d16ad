package probe

import (
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// lane is one of the two ways of sending.
type lane int

const (
	fresh lane = iota
	keepAlive
)

func (l lane) String() string { return [...]string{"fresh", "keep-alive"}[l] }

// The bounds of what a tally remembers, whatever the target answers.
const (
	maxCauses   = 12
	maxStatuses = 24
	maxMarks    = 40
	maxText     = 70 // runes of a cause or a mark
)

// tally counts. Requests = answered + lost holds at any time: a request enters
// the counts when its fate is known.
type tally struct {
	mu       sync.Mutex
	closed   bool
	started  time.Time
	stopped  time.Time // zero while requests are still being sent
	lanes    [2]laneTally
	both     gaps
	notSent  int
	losses   map[string]int
	statuses map[int]int
	latency  histogram // of answered requests
	line     timeline
	marks    []pipeline.Mark

	restSince    time.Time // zero while the prober does not rest
	restFrom     int       // requests that were counted by then
	rested       time.Duration
	restRequests int
}

// laneTally is what is counted of one lane.
type laneTally struct {
	requests, lost, inFlight int
	losses                   map[string]int
	gaps                     gaps
}

// gaps follows the time between answers.
type gaps struct {
	last    time.Time // when the last answered request ended; the start before that
	any     bool      // a request was answered
	longest time.Duration
}

// answered notes an answer and returns the gap that it ends, without what of it
// is the pause of a slow pace. The time before the first answer is none.
func (g *gaps) answered(now time.Time, pause time.Duration) (gap time.Duration) {
	if g.any {
		gap = max(now.Sub(g.last)-pause, 0)
		g.longest = max(g.longest, gap)
	}
	if now.After(g.last) {
		g.last = now
	}
	g.any = true
	return gap
}

// until is the longest gap, counting the time since the last answer as one, so
// that an application that never comes back is seen.
func (g *gaps) until(now time.Time, pause time.Duration) int64 {
	return max(g.longest, now.Sub(g.last)-pause).Milliseconds()
}

func newTally() *tally {
	t := &tally{losses: map[string]int{}, statuses: map[int]int{}}
	for l := range t.lanes {
		t.lanes[l].losses = map[string]int{}
	}
	return t
}

func (t *tally) begin(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started, t.both.last = now, now
	for l := range t.lanes {
		t.lanes[l].gaps.last = now
	}
	t.marks = []pipeline.Mark{{Text: "start"}}
}

// stopAt notes when the sending ended.
func (t *tally) stopAt(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = now
}

// end is when the sending ended.
func (t *tally) end() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped
}

// miss counts a request that was due and could not be sent.
func (t *tally) miss() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notSent++
}

func (t *tally) launch(l lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lanes[l].inFlight++
}

// record counts what became of a request. It says whether this is the first
// loss of its cause.
func (t *tally) record(l lane, a answer, now time.Time) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.lanes[l].inFlight--
	if a.unsent {
		t.notSent++
		return false
	}
	if a.status != 0 {
		t.respond(a.status)
	}
	if a.lost() {
		return t.lose(l, a.cause, 1, now)
	}
	t.latency.add(a.latency)
	t.lanes[l].requests++
	pause := t.pause()
	t.lanes[l].gaps.answered(now, pause)
	gap := t.both.answered(now, pause)
	t.marks[len(t.marks)-1].Requests++
	bucket := t.line.at(now.Sub(t.started))
	bucket.requests++
	bucket.gap = max(bucket.gap, gap)
	return false
}

// respond counts a status. A target that thinks of too many has the rest of
// them counted by their class.
func (t *tally) respond(status int) {
	if _, known := t.statuses[status]; !known && len(t.statuses) >= maxStatuses {
		status /= 100
	}
	t.statuses[status]++
}

func (t *tally) lose(l lane, cause string, n int, now time.Time) (first bool) {
	if _, known := t.losses[cause]; !known && len(t.losses) >= maxCauses {
		cause = "other"
	}
	first = t.losses[cause] == 0
	t.losses[cause] += n
	of := &t.lanes[l]
	of.requests += n
	of.lost += n
	of.losses[cause] += n
	mark := &t.marks[len(t.marks)-1]
	mark.Requests += n
	mark.Lost += n
	bucket := t.line.at(now.Sub(t.started))
	bucket.requests += n
	bucket.lost += n
	return first
}

// close counts what is still in flight as timeouts and takes no more.
func (t *tally) close(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for l := range t.lanes {
		if n := t.lanes[l].inFlight; n > 0 {
			t.lanes[l].inFlight = 0
			t.lose(lane(l), timeout, n, now)
		}
	}
}

func (t *tally) mark(text string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if len(t.marks) >= maxMarks {
		t.marks = mergeOldest(t.marks)
	}
	t.marks = append(t.marks, pipeline.Mark{Text: clip(text, maxText), AtMs: max(now.Sub(t.started).Milliseconds(), 0)})
}

// verdict is the count up to that time, which is now, or when the sending
// ended.
//
// The longest gap is the longest time between the ends of two answered
// requests that follow each other, over both lanes; the time from the last one
// to the end of the sending is such a gap too. The time before the first
// answer is none, unless no answer ever came.
func (t *tally) verdict(until time.Time) pipeline.Verdict { return fit(t.counts(until)) }

func (t *tally) counts(until time.Time) (pipeline.Verdict, *timeline) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := until
	if !t.restSince.IsZero() { // It is asked nothing since then.
		kept = t.restSince
	}
	v := pipeline.Verdict{
		NotSent:      t.notSent,
		LongestGapMs: t.both.until(until, t.pause()),
		P50Ms:        milliseconds(t.latency.quantile(0.50)),
		P90Ms:        milliseconds(t.latency.quantile(0.90)),
		P95Ms:        milliseconds(t.latency.quantile(0.95)),
		P99Ms:        milliseconds(t.latency.quantile(0.99)),
		MaxMs:        milliseconds(t.latency.longest),
		Fresh:        t.lanes[fresh].lane(until, t.pause()),
		KeepAlive:    t.lanes[keepAlive].lane(kept, 0),
		Marks:        append([]pipeline.Mark(nil), t.marks...),
	}
	v.Requests, v.Lost = v.Fresh.Requests+v.KeepAlive.Requests, v.Fresh.Lost+v.KeepAlive.Lost
	rested, requests := t.atRest(until)
	if s := (until.Sub(t.started) - rested).Seconds(); s > 0 {
		v.Rate = float64(v.Requests-requests) / s
	}
	if len(t.losses) > 0 {
		v.Losses = maps.Clone(t.losses)
	}
	if len(t.statuses) > 0 {
		v.Responses = make(map[string]int, len(t.statuses))
		for status, n := range t.statuses {
			name := strconv.Itoa(status)
			if status < 10 {
				name += "xx"
			}
			v.Responses[name] = n
		}
	}
	return v, t.line.clone()
}

func (t *laneTally) lane(until time.Time, pause time.Duration) pipeline.Lane {
	l := pipeline.Lane{Requests: t.requests, Lost: t.lost, LongestGapMs: t.gaps.until(until, pause)}
	if len(t.losses) > 0 {
		l.Losses = maps.Clone(t.losses)
	}
	return l
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
