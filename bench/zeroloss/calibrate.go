package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// calibrating stands for the strategy of an application that is not cut over.
const calibrating = "calibrate"

// rates are those that are tried, in requests per second.
var rates = []int{50, 100, 150, 200, 300, 400, 500, 650, 800, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000}

// steadyRate is the rate of the run: the one that was asked for, the one that
// an earlier slice has found, or the highest at which every request can be
// sent, none waits in vain and the slowest hundredth is not too slow while a
// plain roll-out goes on. What the roll-out itself refuses does not count.
func steadyRate(ctx context.Context, s settings, st *stage, results *results) (int, error) {
	if s.rate > 0 {
		return s.rate, nil
	}
	if results.rate > 0 {
		return results.rate, nil
	}
	app := &subject{stage: st, kind: cutover{App: graceful, Strategy: calibrating}, namespace: "zeroloss-calibrate"}
	if err := st.remove(ctx, app.namespace); err != nil {
		return 0, err
	}
	defer func() { _ = st.remove(ctx, app.namespace) }() // the next slice removes it again
	if err := app.begin(ctx); err != nil {
		return 0, fmt.Errorf("deploy the application to calibrate with: %w", err)
	}
	steady := 0
	for _, rate := range rates {
		counts, err := app.trial(ctx, rate)
		if err != nil {
			return 0, err
		}
		late := counts.Losses["timeout"]
		good := late == 0 && counts.NotSent == 0 && counts.P99Ms <= float64(s.slowest.Milliseconds())
		fmt.Printf("calibrate %5d requests/s: not sent %d, timeouts %d, p99 %.1f ms: %s\n", rate, counts.NotSent, late, counts.P99Ms, map[bool]string{true: "steady", false: "too fast"}[good])
		if !good {
			break
		}
		steady = rate
	}
	if steady == 0 {
		return 0, fmt.Errorf("not even %d requests/s are steady on this machine: wait until it has less to do, or give -rate or -slowest", rates[0])
	}
	return steady, results.write(rateRecord{SteadyRate: steady})
}

// trial sends at a rate through a plain roll-out.
func (a *subject) trial(ctx context.Context, rate int) (pipeline.Verdict, error) {
	load, err := startLoad(ctx, a.addresses, rate, a.clients)
	if err != nil {
		return pipeline.Verdict{}, err
	}
	a.version = 1 - a.version
	err = errors.Join(a.naively(ctx, &result{}), pass(ctx, around))
	counts, _ := load.stop()
	return counts, err
}
