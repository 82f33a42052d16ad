package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEachRequestIsAnsweredOrLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(0, 0)
		y := newTally()
		y.begin(now)
		var flying []lane
		launched, unsent, closed := 0, 0, false
		end := func(a answer) {
			if len(flying) > 0 {
				y.record(flying[0], a, now)
				flying = flying[1:]
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"launch": func(rt *rapid.T) {
				if closed {
					rt.Skip("no request starts after the end")
				}
				l := lane(rapid.IntRange(0, 1).Draw(rt, "lane"))
				y.launch(l)
				flying = append(flying, l)
				launched++
			},
			"answer": func(rt *rapid.T) {
				code := rapid.IntRange(100, 499).Draw(rt, "status")
				end(answer{status: code, latency: time.Duration(rapid.Int64().Draw(rt, "latency"))})
			},
			"server error": func(rt *rapid.T) {
				code := rapid.IntRange(500, 999).Draw(rt, "status")
				end(answer{status: code, cause: fmt.Sprint("http ", code)})
			},
			"lose": func(rt *rapid.T) { end(answer{cause: rapid.StringN(1, 5, -1).Draw(rt, "cause")}) },
			"cannot send": func(*rapid.T) {
				if len(flying) > 0 {
					unsent++
				}
				end(answer{unsent: true})
			},
			"mark": func(*rapid.T) { y.mark("m", now) },
			"close, and an answer that comes too late": func(*rapid.T) {
				y.close(now)
				flying, closed = nil, true
				y.record(fresh, answer{status: 200}, now)
			},
			"": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(-5, 1000).Draw(rt, "ms")) * time.Millisecond)
				v := y.verdict(now)
				checkSums(t, v)
				marked, drawn := 0, 0
				for _, m := range v.Marks {
					marked += m.Requests
				}
				if v.Timeline != nil {
					for _, n := range v.Timeline.Requests {
						drawn += n
					}
				}
				if v.Requests+unsent+len(flying) != launched || marked != v.Requests || drawn != v.Requests || v.NotSent != unsent {
					rt.Fatalf("launched %d, in flight %d, not sent %d, marks %d, timeline %d: %+v", launched, len(flying), unsent, marked, drawn, v)
				}
				if len(v.Losses) > maxCauses+1 || v.LongestGapMs < 0 {
					rt.Fatalf("got %+v", v)
				}
			},
		})
	})
}

func TestQuantilesAreAtMostThreePercentTooHigh(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		us := rapid.SliceOfN(rapid.Int64Range(0, 1<<27-1), 1, 500).Draw(rt, "us")
		var h histogram
		for _, d := range us {
			h.add(time.Duration(d) * time.Microsecond)
		}
		slices.Sort(us)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
			exact := us[max(int(q*float64(len(us))+0.5), 1)-1]
			got := h.quantile(q).Microseconds()
			if got < exact || float64(got) > float64(exact)*1.032 {
				rt.Fatalf("quantile %v of %v: got %d, want %d", q, us, got, exact)
			}
		}
	})
}

func TestTheHistogramTakesAnyDuration(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("median of nothing is %v", got)
	}
	for _, d := range []time.Duration{-time.Hour, 0, 1, time.Hour, 1<<63 - 1} {
		h.add(d)
	}
	if got := h.quantile(1).Round(time.Second); got != 134*time.Second {
		t.Errorf("longest is %v, want the limit of 134 s", got)
	}
}

func TestTheTimelineKeepsEveryRequest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var line timeline
		requests, lost, longest := 0, 0, time.Duration(0)
		for _, at := range rapid.SliceOf(rapid.Int64Range(-10, int64(72*time.Hour))).Draw(rt, "times") {
			b := line.at(time.Duration(at))
			b.requests++
			requests++
			if at%3 == 0 {
				b.lost++
				lost++
			}
			b.gap = max(b.gap, time.Duration(at%1000)*time.Millisecond)
			longest = max(longest, b.gap)
		}
		c := line.columns()
		if c == nil {
			if requests > 0 {
				rt.Fatal("nothing of it is left")
			}
			return
		}
		sum := func(column []int) (n int) {
			for _, x := range column {
				n += x
			}
			return n
		}
		if sum(c.Requests) != requests || sum(c.Lost) != lost || len(c.Requests) > maxBuckets {
			rt.Fatalf("%d of %d requests and %d of %d lost in %d buckets", sum(c.Requests), requests, sum(c.Lost), lost, len(c.Requests))
		}
		if len(c.GapMs) > 0 && slices.Max(c.GapMs) != longest.Milliseconds() || len(c.GapMs) == 0 && longest >= time.Millisecond {
			rt.Fatalf("longest gap is %v: %v", longest, c.GapMs)
		}
	})
}

func TestTheWorstVerdictFitsIntoTheJournal(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	y := newTally()
	y.begin(now)
	const most = 500_000
	for n := range most {
		now = now.Add(400 * time.Millisecond)
		l := lane(n % 2)
		y.launch(l)
		a := answer{status: 100 + n%400, latency: time.Duration(n) * time.Millisecond}
		if n%3 > 0 {
			a = answer{cause: cause(errors.New(fmt.Sprint(n%100, strings.Repeat("\x01<€>", 40))))}
		}
		y.record(l, a, now)
		if n%100 == 0 {
			y.mark(strings.Repeat("\x01<€>", 40)+fmt.Sprint(n), now)
		}
	}
	v := y.verdict(now)
	checkSums(t, v)
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxVerdict {
		t.Errorf("the verdict has %d bytes:\n%s", len(text), text)
	}
	sum := 0
	for _, m := range v.Marks {
		sum += m.Requests
	}
	if v.Requests != most || sum != most || len(v.Timeline.Requests) == 0 || v.Marks[len(v.Marks)-1].AtMs < most*390 {
		t.Errorf("%d requests, %d at marks:\n%s", v.Requests, sum, text)
	}
}

func TestAMillionRequestsTakeTheMemoryOfAThousand(t *testing.T) {
	y := newTally()
	now := time.Unix(0, 0)
	y.begin(now)
	count := func(requests int) {
		for n := range requests {
			now = now.Add(time.Millisecond)
			y.launch(lane(n % 2))
			y.record(lane(n%2), answer{status: 200, latency: time.Duration(n) * time.Microsecond}, now)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	count(60_000) // as many as the finest timeline holds
	before := heap()
	count(1_000_000)
	if after := heap(); after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, after>>10)
	}
	if v := y.verdict(now); v.Requests != 1_060_000 {
		t.Errorf("counted %d requests", v.Requests)
	}
}
