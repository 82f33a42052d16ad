package deploy

import (
	"fmt"
	"time"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
)

// StalledError is the error of a run that ended before it had got any further
// than the run before it, in the middle of something that cannot be divided:
// whoever takes the deployment up does all of it again. A run that waited for
// the cluster or for people has not stalled, since these get on meanwhile.
type StalledError struct {
	What string        // such as "the rehearsal"
	Time time.Duration // that the run had
}

func (e *StalledError) Error() string {
	return fmt.Sprintf("%s had not ended after %s, and is begun anew", e.What, e.Time.Round(time.Second))
}

// headway is how far a run is, as its next one would find it.
type headway struct {
	begun time.Time
	notes int           // in the journal when the run took the revision up, -1 when there was none
	phase journal.Phase // that it took the revision up in
	doing string        // what the run is in that cannot be divided, empty when it is in nothing such
}

// planning is what a run does before its first step.
const planning = "asking the cluster and making the plan"

// stalled is a StalledError when the run has got no further, nil otherwise.
func (r *run) stalled() error {
	if r.doing == "" || r.entry != nil && (len(r.entry.Done) > r.notes || r.entry.Phase != r.phase) {
		return nil
	}
	return &StalledError{What: r.doing, Time: time.Since(r.begun)}
}

// undivided is how people call a step that an interruption sends back to its
// beginning, empty for one that waits for what goes on by itself, or whose time
// is counted: see passOn.
func undivided(s plan.Step) string {
	switch s.Verb {
	case plan.VerbWait, plan.VerbServe, plan.VerbRun, plan.VerbDrain, plan.VerbApprove, plan.VerbCheck, plan.VerbAnalyse, plan.VerbKeep:
		return ""
	case plan.VerbRehearse:
		return "the rehearsal"
	}
	return "step " + s.Short()
}
