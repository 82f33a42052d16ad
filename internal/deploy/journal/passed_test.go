package journal

import (
	"testing"
	"time"
)

func TestTheTimeOfAStepIsCountedOverProcesses(t *testing.T) {
	t.Parallel()
	e := &Entry{Record: Record{Phase: Deploying}}
	want := func(what, step, state string, passed time.Duration) {
		t.Helper()
		if got := e.PassedOf(step, state); got != passed {
			t.Errorf("%s: %s have passed, want %s", what, got, passed)
		}
	}
	want("nothing is noted", "keep", "", 0)
	e.NotePassed("keep", "", 2*time.Second)
	e.NotePassed("keep", "", 5*time.Second)
	e.NotePassed("serve", "a", time.Second)
	want("noted twice", "keep", "", 5*time.Second)
	want("another step", "serve", "a", time.Second)
	want("another state", "serve", "b", 0)
	e.NotePassed("serve", "b", 3*time.Second)
	want("the state before", "serve", "a", 0)
	e.Phase = Reverting
	want("on the way back", "keep", "", 0)
	e.NotePassed("keep", "", time.Second)
	e.Phase = Deploying
	want("forward again", "keep", "", 5*time.Second)
	if len(e.Passed) != 3 {
		t.Errorf("%d notes for three steps", len(e.Passed))
	}
}
