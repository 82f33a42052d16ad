package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/towline/towline/bench/program"
	"github.com/towline/towline/internal/client"
)

// result is what was measured.
type result struct {
	single    []time.Duration // sorted
	wait      time.Duration   // the longest
	all       time.Duration   // from the first request to the last end
	work      time.Duration   // of the commands, on all processors
	most      int             // builds that ran at once
	mostOfOne int             // of the project whose limit is 1
	overtaken int             // builds that began after one that was asked for later, without a limit
	memory    int64
}

// span is when a build has run.
type span struct{ began, ended time.Time }

// queue reads off the builds' records who waited how long and for whom. They are
// in the order in which they were asked for.
func (r *result) queue(all []client.Build) {
	var runs []span
	var limited []span
	var last time.Time // begin of the newest build without a limit
	end := all[0].Ended
	for _, b := range all {
		began := phase(b, "PROVISIONING")
		runs = append(runs, span{began, b.Ended})
		r.wait = max(r.wait, began.Sub(b.Started))
		if b.Ended.After(end) {
			end = b.Ended
		}
		r.work += 500 * time.Millisecond
		if b.Project == "limited" {
			limited = append(limited, span{began, b.Ended})
			continue
		}
		if began.Before(last) {
			r.overtaken++
		}
		last = began
	}
	r.all = end.Sub(all[0].Started)
	r.most, r.mostOfOne = together(runs), together(limited)
}

func phase(b client.Build, name string) time.Time {
	for _, p := range b.Phases {
		if p.Name == name {
			return p.Started
		}
	}
	return b.Started
}

// together is how many ran at once at most.
func together(runs []span) (most int) {
	for _, r := range runs {
		n := 0
		for _, other := range runs {
			if !other.began.After(r.began) && other.ended.After(r.began) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func (r *result) report(s settings) error {
	var text strings.Builder
	ms := func(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
	fmt.Fprintf(&text, "# Builds of projects\n%s, %d processors, %s/%s, builds on `host` (`make bench-builds`).\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	text.WriteString("| | measured | wanted |\n|---|--:|--:|\n")
	fmt.Fprintf(&text, "| a build that does nothing, from the request until its end is recorded, median of %d | %s | at most 100ms |\n", len(r.single), ms(r.single[len(r.single)/2]))
	fmt.Fprintf(&text, "| its 90th percentile | %s | |\n", ms(r.single[len(r.single)*9/10]))
	fmt.Fprintf(&text, "| %d builds of `sleep 0.5` asked for at once: all have ended after | %s | |\n", s.queued, ms(r.all))
	fmt.Fprintf(&text, "| the commands alone, on %d processors | %s | |\n", runtime.NumCPU(), ms(r.work/time.Duration(runtime.NumCPU())))
	fmt.Fprintf(&text, "| the longest wait for a turn | %s | |\n", ms(r.wait))
	fmt.Fprintf(&text, "| builds at once, at most | %d | at most %d |\n", r.most, runtime.NumCPU())
	fmt.Fprintf(&text, "| of the project whose limit is 1 | %d | at most 1 |\n", r.mostOfOne)
	fmt.Fprintf(&text, "| builds that began after one that was asked for later | %d | 0 |\n", r.overtaken)
	fmt.Fprintf(&text, "| the server's memory, at most | %.0f MB | at most 200 MB |\n", float64(r.memory)/1e6)
	text.WriteString("\nA build's turn is decided by one queue for the whole server: the first that came begins first, unless its project's limit holds it back, which\nholds back nobody else.\n")
	fmt.Print(text.String())
	return program.Page(s.out, text.String())
}
