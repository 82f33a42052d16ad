package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func small() settings {
	return settings{cutovers: 3, naive: 1, exits: 1, rollbacks: 1, strategies: []string{"rolling", "blue-green"}, methods: []string{"api"}}
}

func TestARunGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	s := small()
	all := planned(s)
	if want := 2 + 2*3 + 2 + 1; len(all) != want {
		t.Fatalf("%d cut-overs are planned, want %d", len(all), want)
	}
	path := filepath.Join(t.TempDir(), "deep", "results.jsonl")
	first, err := openResults(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.write(rateRecord{SteadyRate: 300}); err != nil {
		t.Fatal(err)
	}
	made := result{cutover: all[3], Rate: 300, Counts: pipeline.Verdict{Requests: 12, Lost: 1, Losses: map[string]int{"timeout": 1}}, Outcome: "Succeeded"}
	if err := first.add(made); err != nil {
		t.Fatal(err)
	}
	if _, err := first.file.WriteString(`{"app":"graceful","stra`); err != nil { // killed in the middle of a line
		t.Fatal(err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openResults(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if diff := cmp.Diff([]result{made}, again.all, cmp.AllowUnexported(result{})); diff != "" || again.rate != 300 {
		t.Errorf("rate %d, results (-want +got):\n%s", again.rate, diff)
	}
	if left := remaining(s, again.all); len(left) != len(all)-1 {
		t.Errorf("%d cut-overs are left, want %d", len(left), len(all)-1)
	}
	if err := again.add(made); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != 3 || strings.Contains(string(text), `stra{`) {
		t.Errorf("the half line is still there: %v\n%s", err, text)
	}
}

func TestKindsTakeTurns(t *testing.T) {
	t.Parallel()
	todo := planned(small())
	order := func(seed uint64) string { return fmt.Sprint(blocks(todo, 2, rand.New(rand.NewPCG(seed, 0)))) }
	if first := order(1); first != order(1) || first == order(2) {
		t.Error("want the same order for the same seed, and another one for another")
	}
	seen := map[cutover]int{}
	for _, block := range blocks(todo, 2, rand.New(rand.NewPCG(1, 0))) {
		if len(block) > 2 {
			t.Errorf("a block of %d", len(block))
		}
		for _, c := range block {
			if c.kind() != block[0].kind() {
				t.Errorf("%v and %v are in one block", c, block[0])
			}
			seen[c]++
		}
	}
	if len(seen) != len(todo) {
		t.Errorf("%d cut-overs are in the blocks, want %d", len(seen), len(todo))
	}
}

// blueGreenLog is what a blue/green deployment prints.
const blueGreenLog = `deploy  web to cluster c, strategy blue-green, method api
+0 probe   12 requests to Service web answered before the first change
+400 probe   25 requests to Service web answered before the first change
+100 step 2 of 9   apply Service web (update)   PATCH /api/v1: done in 90ms
+2000 step 3 of 9   wait Deployment web-2: done in 1.9s
+50 step 4 of 9   switch Service web: requests move   PATCH /api/v1: done in 40ms
+3300 step 5 of 9   serve Service web: done in 3.3s
+1100 verdict 0 of 700 requests lost
+10 done    revision 2 of web runs, in 7.0 s`

func TestTheRunbookTellsWhatWasWaitedFor(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000_000, 0)
	now := start
	var heard []string
	book := &runbook{now: func() time.Time { return now }, heed: func(line string) { heard = append(heard, line) }}
	for line := range strings.Lines(blueGreenLog + "\n") {
		text := line
		if rest, ok := strings.CutPrefix(line, "+"); ok {
			var ms int
			if _, err := fmt.Sscan(rest, &ms); err != nil {
				t.Fatal(err)
			}
			_, text, _ = strings.Cut(rest, " ")
			now = now.Add(time.Duration(ms) * time.Millisecond)
		}
		half := len(text) / 2
		fmt.Fprint(book, text[:half])
		fmt.Fprint(book, text[half:])
	}
	got := book.times()
	want := phases{waited: 400*time.Millisecond + 1900*time.Millisecond + 3300*time.Millisecond + 1100*time.Millisecond, switched: start.Add(2510 * time.Millisecond)}
	if got != want {
		t.Errorf("phases %+v, want %+v", got, want)
	}
	if len(heard) != strings.Count(blueGreenLog, "\n")+1 {
		t.Errorf("heard %d lines", len(heard))
	}
}

func TestTheLastSwitchIsTheOneThatCounts(t *testing.T) {
	t.Parallel()
	marks := []pipeline.Mark{{AtMs: 0, Text: "start"}, {AtMs: 100, Text: "switch Service web"}, {AtMs: 140, Text: "verified Service web"},
		{AtMs: 900, Text: "switch Service web"}, {AtMs: 1150, Text: "verified Service web"}, {AtMs: 4000, Text: "verified Service web"}}
	if got := verified(marks); got != 250*time.Millisecond {
		t.Errorf("verified after %s, want 250ms", got)
	}
	if got := verified(marks[:1]); got != 0 {
		t.Errorf("verified after %s, want nothing", got)
	}
}

func TestLossesThatWereForetoldAreNotTowlines(t *testing.T) {
	t.Parallel()
	warned := result{cutover: cutover{App: exits, Strategy: "immutable", Drain: "warn"}, Outcome: "Succeeded", Predicts: true,
		Counts: pipeline.Verdict{Requests: 100, Lost: 9, KeepAlive: pipeline.Lane{Requests: 50, Lost: 9}}}
	plain := result{cutover: cutover{App: exits, Strategy: naive}, Outcome: "Succeeded", Counts: pipeline.Verdict{Requests: 100, Lost: 5}}
	if err := judge([]result{warned, plain}); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*result){
		"a fresh connection":        func(r *result) { r.Counts.Lost, r.Counts.Fresh.Lost = 10, 1 },
		"nothing foretold":          func(r *result) { r.Predicts = false },
		"the deployment has failed": func(r *result) { r.Outcome = "Failed" },
	} {
		changed := warned
		change(&changed)
		if judge([]result{changed, plain}) == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
	starved := warned
	starved.Counts.NotSent, starved.Counts.Fresh.Lost, starved.Outcome = 1, 50, "Failed"
	if err := judge([]result{warned, plain, starved}); err != nil {
		t.Errorf("a cut-over that the machine had no time for counts: %v", err)
	}
	if left := remaining(settings{exits: 1, strategies: []string{"immutable"}, methods: []string{""}}, []result{starved}); len(left) != 2 {
		t.Errorf("%d cut-overs are left, want the one that was set aside too", len(left))
	}
	if judge([]result{warned}) == nil {
		t.Error("a run without losses of the naive cut-over shows nothing, but passes")
	}
}
