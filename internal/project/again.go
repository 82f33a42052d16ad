package project

import "time"

// Again makes a new build one that does the old one once more.
func (b Build) Again(next Build) Build {
	next.ID = NewID(b.Project)
	next.Project, next.Definition, next.RetryOf = b.Project, b.Definition, b.ID
	if next.Version = b.Version; b.Resolved != "" {
		next.Version = b.Resolved
	}
	return next
}

// Retriable refuses a batch that cannot be run again, with an *Error of the kind
// ErrInvalid.
func (b Build) Retriable() error {
	switch {
	case b.Action != nil:
		return Refuse(ErrInvalid, "batch %s is part of execution %s: retry its stage with: towline retry %s", b.ID, b.Action.Execution, b.Action.Execution)
	case !b.Done():
		return Refuse(ErrInvalid, "batch %s has not ended", b.ID)
	case b.Status == Succeeded:
		return Refuse(ErrInvalid, "batch %s has succeeded: start another one", b.ID)
	}
	return nil
}

// Restart makes a batch that has ended one that waits.
func (b *Build) Restart(now time.Time) {
	b.Status, b.Phase, b.Phases, b.Message = InProgress, "", nil, ""
	b.Started, b.Running, b.Ended, b.Stopping = now, time.Time{}, time.Time{}, false
	b.Artifacts, b.Delivered, b.Exported, b.Tests = nil, nil, nil, nil
	b.Rerun++
	b.Enter(PhaseSubmitted, now)
}
