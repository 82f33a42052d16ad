package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// TestHistory is how one test went over the runs of its action.
type TestHistory struct {
	Suite string `json:"suite"`
	Name  string `json:"name"`
	// Status is that of the newest run, "" when the test was not part of it.
	Status TestStatus `json:"status,omitempty"`
	// Runs is how many runs it passed or failed in, Failed in how many of them it
	// failed at least once.
	Runs   int `json:"runs"`
	Failed int `json:"failed"`
	// Since is the execution with which the present row of failures began, ""
	// when it does not fail.
	Since string `json:"since,omitempty"`
	// Flaky says why the test is not to be relied on, "" when it is.
	Flaky string `json:"flaky,omitempty"`
	// Message is what it said when it failed last, and LastFailed the execution.
	Message    string `json:"message,omitempty"`
	LastFailed string `json:"lastFailed,omitempty"`
	// Seconds is how long it took on the average.
	Seconds float64 `json:"seconds,omitempty"`
}

// leastFlips is from how many changes between passing and failing on one branch
// on a test counts as flaky. One that breaks and is mended changes twice.
const leastFlips = 3

// Histories compares the runs of one action: how each test went that failed in
// the newest run, or that is flaky. A test is flaky when it has failed and
// passed on the same commit, or when it has changed several times on a branch.
// The zero value knows no runs yet.
type Histories struct {
	runs  int
	tests map[testName]*testPast
}

// Add looks at one run more. The oldest comes first.
func (h *Histories) Add(run TestRun) {
	h.runs++
	if h.tests == nil {
		h.tests = map[testName]*testPast{}
	}
	for name, one := range outcomes(run) {
		past := h.tests[name]
		if past == nil {
			past = &testPast{
				history: TestHistory{Suite: name.suite, Name: name.name},
				last:    map[string]bool{}, flips: map[string]int{}, commits: map[string]outcome{},
			}
			h.tests[name] = past
		}
		past.run = h.runs
		past.add(run, one)
	}
}

// Told are the tests that failed in the newest run, by how often they did, and
// then the other flaky ones.
func (h *Histories) Told() []TestHistory {
	told := []TestHistory{}
	for _, past := range h.tests {
		one := past.told()
		if past.run != h.runs {
			one.Status = ""
		}
		if one.Flaky != "" || one.Status == TestFailing {
			told = append(told, one)
		}
	}
	slices.SortFunc(told, func(a, b TestHistory) int {
		return cmp.Or(
			-cmp.Compare(failing(a), failing(b)), -cmp.Compare(a.Failed, b.Failed),
			cmp.Compare(a.Suite, b.Suite), cmp.Compare(a.Name, b.Name),
		)
	})
	return told
}

func failing(h TestHistory) int {
	if h.Status == TestFailing {
		return 1
	}
	return 0
}

type testName struct{ suite, name string }

// outcome is how a test went in one run, in which it may have run several times.
type outcome struct {
	passed, failed bool
	skipped        bool
	message        string
	seconds        float64
}

func outcomes(run TestRun) map[testName]outcome {
	all := map[testName]outcome{}
	for _, report := range run.Reports {
		for _, c := range report.Cases {
			name := testName{c.Suite, c.Name}
			o := all[name]
			switch c.Status {
			case TestFailing:
				o.failed = true
			case TestPassed:
				o.passed, o.failed = true, o.failed || c.Flaky
			case TestSkipped:
				o.skipped = true
			}
			o.message = cmp.Or(o.message, c.Message)
			o.seconds += c.Seconds
			all[name] = o
		}
	}
	return all
}

// testPast is a test while its runs are gone through, oldest first.
type testPast struct {
	history TestHistory
	run     int // number of the last run that it was part of
	seconds float64
	last    map[string]bool    // whether it failed last, by branch
	flips   map[string]int     // by branch
	commits map[string]outcome // by commit
}

func (t *testPast) add(run TestRun, o outcome) {
	h := &t.history
	h.Status = TestSkipped
	if !o.passed && !o.failed {
		return
	}
	h.Runs++
	t.seconds += o.seconds
	failed := o.failed && !o.passed // one that passed in the end has passed
	h.Status = TestPassed
	if failed {
		h.Status = TestFailing
	}
	if o.failed {
		h.Failed++
		h.Message, h.LastFailed = o.message, run.Execution
	}
	switch {
	case !failed:
		h.Since = ""
	case h.Since == "":
		h.Since = run.Execution
	}
	if before, ran := t.last[run.Branch]; ran && before != failed {
		t.flips[run.Branch]++
	}
	t.last[run.Branch] = failed
	// A source without commits compares with itself alone.
	commit := cmp.Or(run.Commit, run.Execution)
	at := t.commits[commit]
	at.passed, at.failed = at.passed || o.passed, at.failed || o.failed
	t.commits[commit] = at
}

func (t *testPast) told() TestHistory {
	h := t.history
	if h.Runs > 0 {
		h.Seconds = t.seconds / float64(h.Runs)
	}
	same := 0
	for commit, at := range t.commits {
		if at.passed && at.failed {
			same++
			h.Flaky = "failed and passed on the same commit, " + Revision{Commit: commit}.Short()
		}
	}
	if same > 1 {
		h.Flaky = fmt.Sprintf("failed and passed on the same commit, %d times", same)
	}
	for _, branch := range slices.Sorted(maps.Keys(t.flips)) {
		if h.Flaky == "" && t.flips[branch] >= leastFlips {
			h.Flaky = fmt.Sprintf("changed %d times between passing and failing on %s", t.flips[branch], branch)
		}
	}
	return h
}
