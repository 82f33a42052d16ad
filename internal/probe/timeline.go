package probe

import (
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// The timeline begins with narrow buckets, which double in width when there
// are too many: fine for a deployment of a minute, bounded for one that waits
// for days to be approved.
const (
	firstBucket = 250 * time.Millisecond
	maxBuckets  = 240
)

// timeline counts by time.
type timeline struct {
	every   time.Duration
	buckets []timeBucket
}

type timeBucket struct {
	requests, lost int
	gap            time.Duration
}

// at is the bucket of a time since the start.
func (t *timeline) at(since time.Duration) *timeBucket {
	if t.every == 0 {
		t.every = firstBucket
	}
	since = max(since, 0)
	for int(since/t.every) >= maxBuckets {
		t.halve()
	}
	i := int(since / t.every)
	for len(t.buckets) <= i {
		t.buckets = append(t.buckets, timeBucket{})
	}
	return &t.buckets[i]
}

// halve makes one bucket of each two.
func (t *timeline) halve() {
	half := t.buckets[:0]
	for i := 0; i < len(t.buckets); i += 2 {
		b := t.buckets[i]
		if i+1 < len(t.buckets) {
			next := t.buckets[i+1]
			b = timeBucket{b.requests + next.requests, b.lost + next.lost, max(b.gap, next.gap)}
		}
		half = append(half, b)
	}
	t.buckets, t.every = half, 2*t.every
}

// clone is a copy with a memory of its own.
func (t *timeline) clone() *timeline {
	return &timeline{every: t.every, buckets: append([]timeBucket(nil), t.buckets...)}
}

// columns is the timeline as the verdict has it, nil when nothing was counted.
func (t *timeline) columns() *pipeline.Timeline {
	if len(t.buckets) == 0 {
		return nil
	}
	c := &pipeline.Timeline{EveryMs: t.every.Milliseconds()}
	lost, gaps := 0, 0 // how long these columns are without the zeros at their ends
	for i, b := range t.buckets {
		c.Requests = append(c.Requests, b.requests)
		c.Lost = append(c.Lost, b.lost)
		c.GapMs = append(c.GapMs, b.gap.Milliseconds())
		if c.Lost[i] > 0 {
			lost = i + 1
		}
		if c.GapMs[i] > 0 {
			gaps = i + 1
		}
	}
	c.Lost, c.GapMs = c.Lost[:lost], c.GapMs[:gaps]
	return c
}
