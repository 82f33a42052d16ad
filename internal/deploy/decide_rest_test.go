package deploy

import (
	"slices"
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

func TestTheProberRestsWhileAPersonIsWaitedFor(t *testing.T) {
	b := setup(t)
	request := b.approved(t)
	request.Verify = pipeline.Verify{Rate: 100, Budget: 1 << 20}
	done := b.inBackground(t, request)
	b.waiting(t, 2)
	<-time.After(4 * time.Second) // what a person takes
	if _, err := New(b.config).Promote(t.Context(), b.decision("anna@laptop")); err != nil {
		t.Fatal(err)
	}
	e := <-done
	if e.err != nil || e.deployment.Verdict == nil {
		t.Fatalf("%+v", e)
	}
	marks := e.deployment.Verdict.Marks
	at := slices.IndexFunc(marks, func(m pipeline.Mark) bool { return m.Text == "waits for a decision, 1 request/s" })
	if at < 0 || at+1 >= len(marks) || marks[at+1].Text != "decided" {
		t.Fatalf("the timeline does not tell when it waited: %+v", marks)
	}
	seconds := float64(marks[at+1].AtMs-marks[at].AtMs) / 1000
	if sent := float64(marks[at].Requests); seconds < 3 || sent > 10*seconds {
		t.Errorf("%v requests in the %.1f s of the wait, want about one per second", sent, seconds)
	}
	if e.deployment.Verdict.Rate < 20 {
		t.Errorf("the rate of the verdict, %.1f/s, is that of the wait", e.deployment.Verdict.Rate)
	}
}
