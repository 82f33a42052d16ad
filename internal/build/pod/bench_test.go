package pod_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/build/buildtest"
)

// BenchmarkOverhead runs builds of next to nothing and tells what their Pods
// cost: until the runner is there, from then until the first command begins, and
// from the end of the last command until Run returns. The node is this machine,
// so that all go by one clock.
func BenchmarkOverhead(b *testing.B) {
	bench := setup(b)
	backend := bench.backend(b)
	for name, files := range map[string]int{"next to nothing": 1, "a thousand files": 1000} {
		b.Run(name, func(b *testing.B) {
			var start, first, last []time.Duration
			for b.Loop() {
				of := buildtest.New(b,
					// The clock, how long the machine is up, and since when the runner lives.
					`FIRST=$(date +%s%N); read UP _ < /proc/uptime; BEGAN=$(cut -d" " -f22 /proc/1/stat)`,
					"i=0; while [ $i -lt "+strconv.Itoa(files)+" ]; do i=$((i+1)); echo $i > $i; done",
					"LAST=$(date +%s%N)")
				of.Exported = []string{"FIRST", "UP", "BEGAN", "LAST"}
				began := time.Now()
				ended, err := backend.Run(b.Context(), of)
				if err != nil {
					b.Fatal(err)
				}
				returned := time.Now()
				number := func(name string) float64 {
					n, err := strconv.ParseFloat(strings.TrimSpace(ended.Exported[name]), 64)
					if err != nil {
						b.Fatal(err)
					}
					return n
				}
				const ticks = 100 // of a second, as /proc counts
				alive := time.Duration((number("UP") - number("BEGAN")/ticks) * float64(time.Second))
				firstAt := time.Unix(0, int64(number("FIRST")))
				start = append(start, firstAt.Sub(began)-alive)
				first = append(first, alive)
				last = append(last, returned.Sub(time.Unix(0, int64(number("LAST")))))
			}
			for unit, all := range map[string][]time.Duration{"ms/start": start, "ms/first": first, "ms/last": last} {
				b.ReportMetric(float64(median(all).Milliseconds()), unit)
			}
		})
	}
	bench.none(b)
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
