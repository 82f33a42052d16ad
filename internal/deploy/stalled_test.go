package deploy

import (
	"testing"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
)

// A rehearsal that has said no is not begun anew: what follows is the way back.
func TestARunHasStalledOnlyWhereItsNextOneBeginsAnew(t *testing.T) {
	t.Parallel()
	one := []journal.DoneStep{{Verb: plan.VerbApply}}
	for what, test := range map[string]struct {
		now     journal.Record
		stalled bool
	}{
		"nothing was noted":         {journal.Record{Phase: journal.Deploying, Done: one}, true},
		"a step was noted":          {journal.Record{Phase: journal.Deploying, Done: append(one, one...)}, false},
		"it has begun the way back": {journal.Record{Phase: journal.Reverting, Done: one}, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := &run{headway: headway{doing: "the rehearsal"}}
			r.takeOver(&journal.Entry{Record: journal.Record{Phase: journal.Deploying, Done: one}})
			r.entry = &journal.Entry{Record: test.now}
			if err := r.stalled(); (err != nil) != test.stalled {
				t.Errorf("%v, want stalled %v", err, test.stalled)
			}
		})
	}
}
