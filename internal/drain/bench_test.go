package drain

import (
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"
)

var noDeadline time.Time

// cpu reports the processor's time for each round, of this whole process: it
// says more than the time that passes on a machine that has other things to do.
func cpu(b *testing.B) func() {
	b.Helper()
	before := used(b)
	return func() { b.ReportMetric(float64(used(b)-before)/float64(b.N), "cpu-ns/op") }
}

func used(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// One request after another on a kept connection: the difference is what the
// relay adds to each.
func BenchmarkKeptConnection(b *testing.B) {
	s := startHTTP(b, slow(nil), quick)
	for _, tt := range []struct{ name, address string }{{"direct", s.app}, {"through the proxy", s.address}} {
		b.Run(tt.name, func(b *testing.B) {
			d := dial(b, tt.address)
			_ = d.conn.SetDeadline(noDeadline)
			report := cpu(b)
			for b.Loop() {
				d.get("/")
			}
			report()
		})
	}
}

// A connection for each request.
func BenchmarkNewConnection(b *testing.B) {
	s := startHTTP(b, slow(nil), quick)
	for _, tt := range []struct{ name, address string }{{"direct", s.app}, {"through the proxy", s.address}} {
		b.Run(tt.name, func(b *testing.B) {
			report := cpu(b)
			for b.Loop() {
				d := dial(b, tt.address)
				d.get("/")
				_ = d.conn.SetLinger(0)
				_ = d.conn.Close()
			}
			report()
		})
	}
}

// Bytes per second of a long answer.
func BenchmarkLongAnswer(b *testing.B) {
	const size = 8 << 20
	s := startHTTP(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "8388608")
		_, _ = io.CopyN(w, zeros{}, size)
	}), quick)
	for _, tt := range []struct{ name, address string }{{"direct", s.app}, {"through the proxy", s.address}} {
		b.Run(tt.name, func(b *testing.B) {
			d := dial(b, tt.address)
			_ = d.conn.SetDeadline(noDeadline)
			b.SetBytes(size)
			report := cpu(b)
			for b.Loop() {
				d.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n")
				response, err := http.ReadResponse(d.r, nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil {
					b.Fatal(err)
				}
			}
			report()
		})
	}
}
