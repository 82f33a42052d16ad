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

// The bounds of what a tally remembers.
const (
	maxCauses  = 32
	maxMoments = 257 // the start and 256 marks
)

// Moment is a mark on the timeline and what was counted between it and the
// next one, or the end. A request belongs to the moment in which its fate was
// known.
type Moment struct {
	Name     string        `json:"name"`
	At       time.Duration `json:"at"` // since the start
	Requests int           `json:"requests"`
	Lost     int           `json:"lost"`
}

// tally counts. Requests = answered + lost holds at any time: a request enters
// the counts when its fate is known.
type tally struct {
	mu       sync.Mutex
	closed   bool
	started  time.Time
	stopped  time.Time // zero while requests are still being sent
	lanes    [2]pipeline.Lane
	inFlight [2]int
	notSent  int
	losses   map[string]int
	statuses map[int]int
	latency  histogram // of answered requests
	lastGood time.Time // when the last answered request ended; the start before that
	anyGood  bool
	gap      time.Duration
	moments  []Moment
}

func newTally() *tally {
	return &tally{losses: map[string]int{}, statuses: map[int]int{}}
}

func (t *tally) begin(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started, t.lastGood = now, now
	t.moments = []Moment{{Name: "start"}}
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
	t.inFlight[l]++
}

// record counts what became of a request. It says whether this is the first
// loss of its cause.
func (t *tally) record(l lane, a answer, now time.Time) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.inFlight[l]--
	if a.unsent {
		t.notSent++
		return false
	}
	m := &t.moments[len(t.moments)-1]
	m.Requests++
	t.lanes[l].Requests++
	if a.status != 0 {
		t.statuses[a.status]++
	}
	if a.lost() {
		m.Lost++
		return t.lose(l, a.cause, 1)
	}
	t.latency.add(a.latency)
	if t.anyGood {
		t.gap = max(t.gap, now.Sub(t.lastGood))
	}
	if now.After(t.lastGood) {
		t.lastGood = now
	}
	t.anyGood = true
	return false
}

func (t *tally) lose(l lane, cause string, n int) (first bool) {
	if _, known := t.losses[cause]; !known && len(t.losses) >= maxCauses {
		cause = "other"
	}
	first = t.losses[cause] == 0
	t.losses[cause] += n
	t.lanes[l].Lost += n
	return first
}

// close counts what is still in flight as timeouts and takes no more.
func (t *tally) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	m := &t.moments[len(t.moments)-1]
	for l, n := range t.inFlight {
		if n == 0 {
			continue
		}
		t.lanes[l].Requests += n
		m.Requests += n
		m.Lost += n
		t.lose(lane(l), "timeout", n)
		t.inFlight[l] = 0
	}
}

func (t *tally) mark(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.moments) < maxMoments {
		t.moments = append(t.moments, Moment{Name: name, At: now.Sub(t.started)})
	}
}

func (t *tally) timeline() []Moment {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Moment(nil), t.moments...)
}

// verdict is the count up to that time, which is now, or when the sending
// ended.
//
// The longest gap is the longest time between the ends of two answered
// requests that follow each other, over both lanes; the time from the last one
// to the end of the sending is such a gap too, so that an application that
// never comes back is seen. The time before the first answer is none, unless
// no answer ever came.
func (t *tally) verdict(until time.Time) pipeline.Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	gap := max(t.gap, until.Sub(t.lastGood))
	v := pipeline.Verdict{
		Requests:     t.lanes[fresh].Requests + t.lanes[keepAlive].Requests,
		Lost:         t.lanes[fresh].Lost + t.lanes[keepAlive].Lost,
		NotSent:      t.notSent,
		LongestGapMs: gap.Milliseconds(),
		P50Ms:        milliseconds(t.latency.quantile(0.50)),
		P99Ms:        milliseconds(t.latency.quantile(0.99)),
		Fresh:        t.lanes[fresh],
		KeepAlive:    t.lanes[keepAlive],
	}
	if s := until.Sub(t.started).Seconds(); s > 0 {
		v.Rate = float64(v.Requests) / s
	}
	if len(t.losses) > 0 {
		v.Losses = maps.Clone(t.losses)
	}
	if len(t.statuses) > 0 {
		v.Responses = make(map[string]int, len(t.statuses))
		for status, n := range t.statuses {
			v.Responses[strconv.Itoa(status)] = n
		}
	}
	return v
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
