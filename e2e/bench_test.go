package e2e_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkServerReady is the time from starting the program until it answers,
// and the memory that it then holds, idle.
func BenchmarkServerReady(b *testing.B) {
	s := start(b)
	s.kill(syscall.SIGTERM)
	var rss float64
	for b.Loop() {
		s.up()
		rss = max(rss, residentMB(b, s.server.Process.Pid))
		b.StopTimer()
		s.kill(syscall.SIGTERM)
		b.StartTimer()
	}
	b.ReportMetric(rss, "MB-resident")
}

// BenchmarkPush is the time from the start of git push until its execution can
// be seen, and the time of the execution that was not spent in actions: five
// stages, the last four of which run one shell command each.
func BenchmarkPush(b *testing.B) {
	s := start(b)
	definition := "pipeline: noop\nstages:\n"
	for i := range 4 {
		definition += fmt.Sprintf("  - {name: S%d, actions: [{name: a%d, build: {commands: ['true']}}]}\n", i, i)
	}
	repo := s.repository("noop", map[string]string{"towline.yaml": definition})
	s.await(repo.push("Warm up").ID)
	var visible, overhead, whole time.Duration
	runs := 0
	for b.Loop() {
		before := time.Now()
		e := s.await(repo.push("Again").ID)
		visible += e.Started.Sub(before)
		whole += e.Ended.Sub(e.Started)
		overhead += e.Ended.Sub(e.Started)
		for _, stage := range e.Stages {
			for _, a := range stage.Actions {
				overhead -= a.Duration(e.Ended)
			}
		}
		runs++
	}
	b.ReportMetric(float64(visible.Milliseconds())/float64(runs), "ms-push-to-visible")
	b.ReportMetric(float64(whole.Milliseconds())/float64(runs), "ms-execution")
	b.ReportMetric(float64(overhead.Milliseconds())/float64(runs), "ms-overhead")
}

// BenchmarkResume is the time from starting the program, after a kill -9 in the
// middle of a stage, until the execution that was under way has ended: what was
// left of that stage, at most a fifth of a second, and a further one.
func BenchmarkResume(b *testing.B) {
	s := start(b)
	repo := s.repository("resume", map[string]string{
		"towline.yaml": "pipeline: resume\nstages:\n  - {name: Cut, actions: [{name: cut, build: {commands: ['sleep 0.2']}}]}\n  - {name: After, actions: [{name: after, build: {commands: ['true']}}]}\n",
	})
	s.await(repo.push("Warm up").ID)
	var whole, longest time.Duration
	runs := 0
	for b.Loop() {
		id := repo.push("Again").ID
		if !s.inStage(id, "Cut") {
			continue // It was over before it was seen.
		}
		s.kill(syscall.SIGKILL)
		before := time.Now()
		s.up()
		took := s.await(id).Ended.Sub(before)
		whole, longest = whole+took, max(longest, took)
		runs++
	}
	b.ReportMetric(float64(whole.Milliseconds())/float64(max(runs, 1)), "ms-kill-to-end")
	b.ReportMetric(float64(longest.Milliseconds()), "ms-longest")
}

// residentMB is the resident memory of a process.
func residentMB(tb testing.TB, pid int) float64 {
	tb.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				tb.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	tb.Fatal("no VmRSS")
	return 0
}
