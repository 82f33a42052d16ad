package project

import (
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Judge notes what a Runner has said of a build, and is how the build has ended
// by that.
func (b *Build) Judge(result pipeline.Result, now time.Time) Status {
	b.Artifacts, b.Exported, b.Tests = result.Artifacts, result.Variables, result.Tests
	status := Succeeded
	if result.Outcome != pipeline.Succeeded {
		status = Failed
	}
	broken := b.unfold(result.Phases, now)
	switch {
	case broken == TimedOut:
		return TimedOut
	case status == Failed && broken == Succeeded && len(result.Phases) > 0:
		b.Enter(PhaseUpload, now) // its artifacts were not as they should be
	}
	return status
}

// unfold puts the phases that a build has had in the place of the one that stood
// for them all, and tells how they went.
func (b *Build) unfold(phases []pipeline.Phase, now time.Time) Status {
	if len(phases) == 0 || len(b.Phases) == 0 {
		return Succeeded
	}
	whole := b.Phases[len(b.Phases)-1]
	b.Phases = b.Phases[:len(b.Phases)-1]
	status, at := Succeeded, whole.Started
	for _, p := range phases {
		phase := Phase{Name: strings.ToUpper(p.Name), Status: Succeeded, Started: at, Message: p.Failure}
		at = at.Add(time.Duration(p.Seconds * float64(time.Second)))
		if at.After(now) {
			at = now
		}
		phase.Ended = at
		switch {
		case p.TimedOut:
			phase.Status, phase.Ended, status = TimedOut, now, TimedOut
		case p.Failure != "":
			phase.Status = Failed
			if status == Succeeded {
				status = Failed
			}
		}
		b.Phases = append(b.Phases, phase)
	}
	return status
}
