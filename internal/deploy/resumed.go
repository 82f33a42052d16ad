package deploy

import (
	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
)

// resumed is what the journal knows of how far a revision has got already.
func (r *run) resumed(revision int) plan.Resumed {
	found := plan.Resumed{First: r.journal.GoodBefore(revision) == nil}
	if r.entry == nil || r.entry.Phase != journal.Deploying || r.entry.Takes < 2 {
		return found
	}
	found.Again, found.Switched = true, map[string]bool{}
	for _, done := range r.entry.Done {
		if done.Verb == plan.VerbSwitch && !done.Reverting {
			found.Switched[done.Ref.ID()] = true
		}
	}
	return found
}
