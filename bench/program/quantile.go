package program

import "time"

// Quantile is the value of sorted durations below which that part of them lies.
// There has to be one at least.
func Quantile(sorted []time.Duration, part float64) time.Duration {
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*part))]
}
