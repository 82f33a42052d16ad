package verdict

import (
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

func TestPardon(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	after := int(probe.DefaultTimeout/time.Second) + 1
	var p pardon
	want := func(what string, cut, now, aside int) {
		t.Helper()
		if got := p.of(cut, at(now)); got != aside {
			t.Errorf("%s: %d are left aside, want %d", what, got, aside)
		}
	}
	want("before any set goes", 2, 0, 0)
	p.begin(2, at(10))
	want("while it goes", 5, 20, 3)
	p.end(at(30))
	want("just after it has gone", 6, 31, 4)
	want("when its time is over", 6, 30+after, 4)
	want("much later", 9, 100, 4)
	p.begin(9, at(110)) // the next set
	p.begin(10, at(111))
	p.end(at(120))
	want("while one of two is going", 12, 120+after, 7)
	p.end(at(200))
	want("when both have gone", 12, 200+after, 7)
	want("after both", 20, 300, 7)
	p.begin(20, at(400))
	p.end(at(401))
	p.begin(21, at(500)) // nobody has looked in between
	want("in a third window", 23, 501, 10)
}

// Only connections that are cut are forgiven, and only those of the set that
// goes: what the new set answers badly counts as it always does.
func TestTheBudgetLeavesAsideOnlyWhatAnOldSetCuts(t *testing.T) {
	t.Parallel()
	verdict := func(causes map[string]int) pipeline.Verdict {
		v := pipeline.Verdict{Losses: causes, KeepAlive: pipeline.Lane{Losses: causes}}
		for _, n := range causes {
			v.Lost += n
			v.KeepAlive.Lost += n
		}
		return v
	}
	for _, c := range []struct {
		name   string
		losses map[string]int
		good   bool
	}{
		{"connections that the old set cuts", map[string]int{"EOF": 1, "connection reset": 2, "connection closed": 3, "unexpected EOF": 1}, true},
		{"errors of the new set", map[string]int{"http 500": 1}, false},
		{"answers that do not come", map[string]int{"timeout": 1}, false},
		{"new pods that take no connection", map[string]int{"connection refused": 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &Watchman{}
			defer w.Forgive()()
			if err := w.judge(verdict(c.losses)); (err == nil) != c.good {
				t.Errorf("judged %v", err)
			}
		})
	}
	t.Run("a set after one that cuts its connections", func(t *testing.T) {
		t.Parallel()
		w := &Watchman{}
		w.Forgive()()
		w.pardon.until = time.Now().Add(-time.Second)
		if err := w.judge(verdict(map[string]int{})); err != nil {
			t.Fatal(err)
		}
		if err := w.judge(verdict(map[string]int{"EOF": 1})); err == nil {
			t.Error("a loss after the first set had gone is left aside")
		}
	})
}

// A deployer that is killed while an old set goes has forgiven what it cut, and
// whoever takes the deployment up knows it by the marks.
func TestWhatADeadDeployerHasForgivenStaysForgiven(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		marks []pipeline.Mark
		cut   int
		good  bool
	}{
		"lost while the old set went":       {[]pipeline.Mark{{Text: "start"}, {Text: cuts, Lost: 2}, {Text: "wait", Lost: 1}}, 3, true},
		"some of it lost before":            {[]pipeline.Mark{{Text: "start", Lost: 1}, {Text: cuts, Lost: 2}}, 3, false},
		"lost while no set went":            {[]pipeline.Mark{{Text: "start", Lost: 3}}, 3, false},
		"lost otherwise while the set went": {[]pipeline.Mark{{Text: "start"}, {Text: cuts, Lost: 3}}, 2, false},
	} {
		v := pipeline.Verdict{Lost: 3, KeepAlive: pipeline.Lane{Lost: 3, Losses: map[string]int{"EOF": c.cut, "timeout": 3 - c.cut}}, Marks: c.marks}
		w := &Watchman{}
		w.takenUp(v)
		if err := w.judge(v); (err == nil) != c.good {
			t.Errorf("%s: judged %v", name, err)
		}
	}
}
