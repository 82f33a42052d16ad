package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/towline/towline/bench/program"
)

// result is what was measured. Durations are sorted.
type result struct {
	commits []time.Duration
	single  []time.Duration
	rate    float64 // executions in a second
	looks   []time.Duration
}

func (r result) report(s settings) error {
	commit, single := program.Quantile(r.commits, 0.5), program.Quantile(r.single, 0.5)
	var text strings.Builder
	fmt.Fprintf(&text, "# The engine\n%s, %d processors, %s/%s, SQLite with WAL and `synchronous=FULL` (`make bench-engine`).\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&text, "| | measured | beside it | wanted |\n|---|--:|--:|--:|\n")
	fmt.Fprintf(&text, "| an execution of %d stages that do nothing, from its start until its end can be read, median of %d | %s | %.1f bare commits | at most 50ms |\n", s.stages, len(r.single), short(single), single.Seconds()/commit.Seconds())
	fmt.Fprintf(&text, "| its 99th percentile | %s | %.1f bare commits | |\n", short(program.Quantile(r.single, 0.99)), program.Quantile(r.single, 0.99).Seconds()/program.Quantile(r.commits, 0.99).Seconds())
	fmt.Fprintf(&text, "| %d executions, %d of them under way at once | %.0f/s | a bare commit for each: %.0f/s | at least 100/s |\n", s.total, s.together, r.rate, 1/commit.Seconds())
	fmt.Fprintf(&text, "| the state of one of %d pipelines with %d executions in all, 99th percentile of %d | %s | median %s | at most 20ms |\n\n", s.pipelines, s.pipelines*s.executions, len(r.looks), short(program.Quantile(r.looks, 0.99)), short(program.Quantile(r.looks, 0.5)))
	fmt.Fprintf(&text, "A bare commit is one row, as durable, on the same file system in the same run: median %s, 99th percentile %s.\n", short(commit), short(program.Quantile(r.commits, 0.99)))
	fmt.Print(text.String())
	return program.Page(s.out, text.String())
}

func short(d time.Duration) string {
	if d < time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}
