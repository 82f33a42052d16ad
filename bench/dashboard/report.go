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
	first []time.Duration
	rows  int
	page  int // bytes on the wire, compressed
	whole int // with all files that a browser needs beside it
	idle  float64
	seen  []time.Duration
}

func (r result) report(s settings) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# The dashboard\n%s, %d processors, %s/%s (`make bench-dashboard`).\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&text, "| | measured | wanted |\n|---|--:|--:|\n")
	fmt.Fprintf(&text, "| the first page with %d pipelines and %d executions (%d lines of it at once, the others as one reads on), whole over a loopback, median of %d | %s | at most 100 ms |\n",
		s.pipelines, s.pipelines*s.executions, r.rows, len(r.first), milliseconds(program.Quantile(r.first, 0.5)))
	fmt.Fprintf(&text, "| its 99th percentile | %s | |\n", milliseconds(program.Quantile(r.first, 0.99)))
	fmt.Fprintf(&text, "| what goes over the wire for it | %.1f kB | |\n", float64(r.page)/1000)
	fmt.Fprintf(&text, "| with its design and scripts, for a browser that was never here | %.1f kB | at most 100 kB |\n", float64(r.whole)/1000)
	fmt.Fprintf(&text, "| what %d open pages cost the server in %s in which nothing happens | %.1f %% of a core | less than 10 %% |\n", s.pages, s.idle, 100*r.idle)
	fmt.Fprintf(&text, "| from the moment when a build prints a line until a page that follows the log has it, median of %d | %s | at most 300 ms |\n", len(r.seen), milliseconds(program.Quantile(r.seen, 0.5)))
	fmt.Fprintf(&text, "| the slowest of them | %s | at most 300 ms |\n", milliseconds(r.seen[len(r.seen)-1]))
	fmt.Print(text.String())
	return program.Page(s.out, text.String())
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
