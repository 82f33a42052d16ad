package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// row is a line of the table: all cut-overs of one kind.
type row struct {
	Kind      string  `json:"kind"`
	Cutovers  int     `json:"cutovers"`
	Failed    int     `json:"failed"` // whose deployment did not end as it should
	Requests  int     `json:"requests"`
	Fresh     int     `json:"lostFresh"`
	KeepAlive int     `json:"lostKeepAlive"`
	NotSent   int     `json:"notSent"`
	GapMs     int64   `json:"longestGapMs"`
	P99Ms     float64 `json:"p99Ms"`     // of the slowest cut-over
	Seconds   float64 `json:"seconds"`   // median
	Overhead  float64 `json:"overhead"`  // seconds, median
	Verified  int64   `json:"verified"`  // ms, the longest
	Moved     int64   `json:"moved"`     // ms, the longest
	Rollback  int64   `json:"rollback"`  // ms, the longest
	Predicted int     `json:"predicted"` // cut-overs whose losses the rehearsal foretold
	kind      cutover
}

// rowsOf sums results up by kind.
func rowsOf(results []result) []row {
	byKind := map[cutover][]result{}
	for _, r := range measured(results) {
		byKind[r.kind()] = append(byKind[r.kind()], r)
	}
	var rows []row
	for kind, list := range byKind {
		w := row{Kind: kind.String(), kind: kind, Cutovers: len(list)}
		var seconds, overheads []float64
		for _, r := range list {
			w.add(r)
			seconds, overheads = append(seconds, r.Seconds), append(overheads, r.Overhead)
		}
		w.Seconds, w.Overhead = median(seconds), median(overheads)
		rows = append(rows, w)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(rank(a.kind), rank(b.kind)), cmp.Compare(a.Kind, b.Kind))
	})
	return rows
}

// rank puts the naive cut-overs first and the special ones last.
func rank(kind cutover) int {
	switch {
	case kind.Strategy == naive:
		return 0
	case kind.Abort:
		return 3
	case kind.App == exits:
		return 2
	}
	return 1
}

func (w *row) add(r result) {
	if good := r.Outcome == "Succeeded"; good == r.Abort {
		w.Failed++
	}
	w.Requests += r.Counts.Requests
	w.Fresh += r.Counts.Fresh.Lost
	w.KeepAlive += r.Counts.KeepAlive.Lost
	w.NotSent += r.Counts.NotSent
	w.GapMs = max(w.GapMs, r.Counts.LongestGapMs)
	w.P99Ms = max(w.P99Ms, r.Counts.P99Ms)
	w.Verified, w.Moved, w.Rollback = max(w.Verified, r.Verified), max(w.Moved, r.Moved), max(w.Rollback, r.Rollback)
	if r.Predicts {
		w.Predicted++
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// tableOf is the table in Markdown.
func tableOf(results []result) string {
	var b strings.Builder
	b.WriteString("| cut-overs | n | failed | requests | lost, fresh | lost, keep-alive | not sent | longest gap | p99 | whole | deployer's own | switch verified | last old answer | way back |\n")
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, w := range rowsOf(results) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d ms | %.0f ms | %.1f s | %s | %s | %s | %s |\n", w.Kind, w.Cutovers, w.Failed, w.Requests, w.Fresh, w.KeepAlive,
			w.NotSent, w.GapMs, w.P99Ms, w.Seconds, overheadOf(w), milliseconds(w.Verified), milliseconds(w.Moved), milliseconds(w.Rollback))
	}
	return b.String()
}

func overheadOf(w row) string {
	if w.kind.Strategy == naive {
		return ""
	}
	return fmt.Sprintf("%.1f s", w.Overhead)
}

func milliseconds(ms int64) string {
	if ms == 0 {
		return ""
	}
	return fmt.Sprintf("%d ms", ms)
}

// totals are the requests and losses of the naive cut-overs and of Towline's.
// Losses that the rehearsal foretold under drain: warn are not Towline's.
func totals(results []result) (requests, lost, naiveRequests, naiveLost int) {
	for _, r := range measured(results) {
		if r.Strategy == naive {
			naiveRequests += r.Counts.Requests
			naiveLost += r.Counts.Lost
			continue
		}
		requests += r.Counts.Requests
		lost += r.Counts.Lost
		if r.App == exits && r.Drain == "warn" {
			lost -= r.Counts.KeepAlive.Lost
		}
	}
	return requests, lost, naiveRequests, naiveLost
}

// judge is an error when a bar was missed.
func judge(results []result) error {
	_, lost, _, naiveLost := totals(results)
	var problems []error
	if lost > 0 {
		problems = append(problems, fmt.Errorf("%d requests were lost that were not foretold", lost))
	}
	if naiveLost == 0 {
		problems = append(problems, errors.New("the naive cut-overs lost nothing, so that this run shows nothing"))
	}
	for _, w := range rowsOf(results) {
		if w.Failed > 0 {
			problems = append(problems, fmt.Errorf("%s: %d of %d did not end as they should", w.Kind, w.Failed, w.Cutovers))
		}
		if w.kind.Drain == "warn" && w.Predicted < w.Cutovers {
			problems = append(problems, fmt.Errorf("%s: the rehearsal foretold the losses of %d of %d", w.Kind, w.Predicted, w.Cutovers))
		}
	}
	return errors.Join(problems...)
}

// writeReport writes the results as Markdown and JSON.
func writeReport(s settings, r *results, left int) error {
	if len(r.all) == 0 {
		return nil
	}
	requests, lost, naiveRequests, naiveLost := totals(r.all)
	var b strings.Builder
	fmt.Fprintf(&b, "# Requests lost through cut-overs\n%s: %d requests through Towline's cut-overs, **%d lost**; %d through naive ones, **%d lost**.\n\n",
		time.Now().UTC().Format(time.DateOnly), requests, lost, naiveRequests, naiveLost)
	if left > 0 {
		fmt.Fprintf(&b, "The run is not complete: %d cut-overs are left.\n\n", left)
	}
	fmt.Fprintf(&b, "%s\n", explanation(s, r.all))
	b.WriteString(tableOf(r.all))
	if n := len(r.all) - len(measured(r.all)); n > 0 {
		fmt.Fprintf(&b, "\n%d further cut-overs were set aside and made again at a lower rate: the machine had no time to send all of their requests.\n", n)
	}
	b.WriteString(foretold(r.all))
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.out, "zero-loss.md"), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	text, err := json.MarshalIndent(map[string]any{"machine": machine(), "seed": s.seed, "rows": rowsOf(r.all), "left": left}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.out, "zero-loss.json"), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func explanation(s settings, all []result) string {
	slowest, fastest := all[0].Rate, all[0].Rate
	for _, r := range all {
		slowest, fastest = min(slowest, r.Rate), max(fastest, r.Rate)
	}
	rate := fmt.Sprint(fastest)
	if slowest != fastest {
		rate = fmt.Sprintf("%d to %d", slowest, fastest)
	}
	return fmt.Sprintf(`Machine: %s, shared with other work. Local cluster, %d pods; %s requests/s in all through the node ports of every node, which is the
highest at which a plain roll-out was borne before, half of them on new connections and half on kept ones, none ever sent twice. Command:
`+"`make bench-zeroloss`"+` (seed %d; `+"`bench/zeroloss`"+`; it goes on where it was stopped).

Towline was asked to wait %s for propagation, %s for analysis and %s before the old set goes. "Deployer's own" is the median of what a cut-over
takes beyond pods, propagation and such waits. "Switch verified" is the longest time from the write that moves the requests until the endpoints were seen to
be the new ones, "last old answer" until an old pod answered a new connection for the last time, "way back" from an abort until the last answer of a
new pod.
`, machine(), s.replicas, rate, s.seed, propagation, analysis, scaleDownDelay)
}

// foretold quotes what the rehearsals have said.
func foretold(all []result) string {
	seen := map[string]bool{}
	var b strings.Builder
	for _, r := range all {
		key := r.kind().String()
		if r.Rehearse == "" || r.App != exits || seen[key] {
			continue
		}
		if len(seen) == 0 {
			b.WriteString("\nThe drain rehearsal said before the requests moved:\n")
		}
		seen[key] = true
		fmt.Fprintf(&b, "- %s: \"%s\"\n", key, r.Rehearse)
	}
	return b.String()
}
