package probe

import (
	"math/bits"
	"time"
)

// histogram counts durations in 5 KB however many there are: microseconds in
// buckets that are 1/32 of their power of two wide, so that a quantile is at
// most about 3 % too high. It holds up to 2^27 us, over two minutes; longer
// ones count as that.
type histogram struct {
	counts  [(27 - 4) * 32]uint64
	total   uint64
	longest time.Duration // exactly, within the limit
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
	h.longest = max(h.longest, min(d, (1<<27-1)*time.Microsecond))
}

// quantile is the duration that the share q of all does not exceed, 0 when
// there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	want := max(uint64(q*float64(h.total)+0.5), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= want {
			return bucketEnd(i)
		}
	}
	return bucketEnd(len(h.counts) - 1)
}

// bucket is the index of a duration's bucket: below 32 us one for each
// microsecond, then 32 for each power of two.
func bucket(d time.Duration) int {
	us := uint64(min(max(d.Microseconds(), 0), 1<<27-1))
	if us < 32 {
		return int(us)
	}
	shift := bits.Len64(us) - 6
	return shift*32 + int(us>>shift)
}

// bucketEnd is the longest duration of the bucket.
func bucketEnd(i int) time.Duration {
	if i < 64 {
		return time.Duration(i) * time.Microsecond
	}
	shift := i/32 - 1
	low := uint64(i%32+32) << shift
	return time.Duration(low+1<<shift-1) * time.Microsecond
}
