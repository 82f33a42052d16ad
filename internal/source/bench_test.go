package source

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkPush measures a push of one commit from three points: from the
// start of the user's git, from the arrival of the pack at the server, both to
// the moment the server is told; and the whole of the push.
func BenchmarkPush(b *testing.B) {
	told := make(chan time.Time, 1)
	s := setup(b, nil, func(context.Context, Push) []string {
		told <- time.Now()
		return nil
	})
	s.create(b, "web")
	arrived := make(chan time.Time, 1)
	url := serve(b, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, receivePack) {
			arrived <- time.Now()
		}
		s.Handler().ServeHTTP(w, req)
	}))
	c := work(b, url+Prefix+"web.git")
	var fromStart, fromArrival time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		c.commit("README", fmt.Sprint(n), "Count")
		n++
		b.StartTimer()
		start := time.Now()
		c.git("push", "--quiet", "origin", "main")
		at := <-told
		fromStart += at.Sub(start)
		fromArrival += at.Sub(<-arrived)
	}
	b.ReportMetric(float64(fromStart.Milliseconds())/float64(n), "ms-push-to-told")
	b.ReportMetric(float64(fromArrival.Milliseconds())/float64(n), "ms-pack-to-told")
}

func BenchmarkRevision(b *testing.B) {
	s := setup(b, nil, nil)
	c := work(b, s.create(b, "web"))
	c.git("push", "origin", "main")
	for b.Loop() {
		if _, err := s.Revision(b.Context(), "web", "main"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExport1000Files(b *testing.B) {
	s := setup(b, nil, nil)
	c := work(b, s.create(b, "web"))
	for i := range 1000 {
		c.write(fmt.Sprintf("dir%d/file%d", i%20, i), strings.Repeat("x", 4000))
	}
	commit := c.commit("last", "x", "Add files")
	c.git("push", "origin", "main")
	dir, n := b.TempDir(), 0
	for b.Loop() {
		if _, err := s.Export(b.Context(), "web", commit, filepath.Join(dir, fmt.Sprint(n))); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
