package probe

import (
	"fmt"
	"slices"
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
				y.close()
				flying, closed = nil, true
				y.record(fresh, answer{status: 200}, now)
			},
			"": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(-5, 1000).Draw(rt, "ms")) * time.Millisecond)
				v := y.verdict(now)
				checkSums(t, v)
				sum := 0
				for _, m := range y.timeline() {
					sum += m.Requests
				}
				if v.Requests+unsent+len(flying) != launched || sum != v.Requests || v.NotSent != unsent {
					rt.Fatalf("launched %d, in flight %d, not sent %d, timeline %d: %+v", launched, len(flying), unsent, sum, v)
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
