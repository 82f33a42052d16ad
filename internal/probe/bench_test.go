package probe

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkProber probes a server in the same process for two seconds and
// reports the CPU time of both as a share of one core, and the prober's
// latency.
func BenchmarkProber(b *testing.B) {
	for _, rate := range []int{100, 1000, 3000, 5000} {
		b.Run(fmt.Sprint(rate, "_per_second"), func(b *testing.B) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
			defer s.Close()
			for b.Loop() {
				before, began := cpu(b), time.Now()
				p, err := Start(b.Context(), Config{URL: s.URL, Rate: rate})
				if err != nil {
					b.Fatal(err)
				}
				<-time.After(2 * time.Second)
				goroutines := runtime.NumGoroutine()
				v := p.Stop()
				if v.Lost > 0 || v.NotSent > 0 {
					b.Errorf("got %+v", v)
				}
				b.ReportMetric(100*float64(cpu(b)-before)/float64(time.Since(began)), "%cpu")
				b.ReportMetric(v.Rate, "requests/s")
				b.ReportMetric(v.P99Ms, "p99-ms")
				b.ReportMetric(float64(goroutines), "goroutines")
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	p, err := newProber(Config{URL: "http://web.example.com"})
	if err != nil {
		b.Fatal(err)
	}
	p.tally.begin(time.Now())
	for i := range 100_000 {
		p.tally.launch(fresh)
		p.tally.record(fresh, answer{status: 200, latency: time.Duration(i) * time.Microsecond}, time.Now())
	}
	for b.Loop() {
		p.Snapshot()
	}
}

// cpu is the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
