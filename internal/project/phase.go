package project

import "time"

// Phase is one phase of a build.
type Phase struct {
	Name    string    `json:"name"`
	Status  Status    `json:"status"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Message string    `json:"message,omitempty"` // why it did not succeed
}

// The phases of a build, in their order.
const (
	PhaseSubmitted    = "SUBMITTED"
	PhaseQueued       = "QUEUED"
	PhaseProvisioning = "PROVISIONING"
	PhaseSource       = "DOWNLOAD_SOURCE"
	PhaseInstall      = "INSTALL"
	PhasePreBuild     = "PRE_BUILD"
	PhaseBuild        = "BUILD"
	PhasePostBuild    = "POST_BUILD"
	PhaseUpload       = "UPLOAD_ARTIFACTS"
	PhaseFinalizing   = "FINALIZING"
	PhaseCompleted    = "COMPLETED"
)

// The phases of a batch, beside PhaseSubmitted. The last one is its status.
const (
	PhaseBatchSpec = "DOWNLOAD_BATCHSPEC"
	PhaseParts     = "IN_PROGRESS"
	PhaseCombine   = "COMBINE_ARTIFACTS"
)

// phase is what a batch calls a phase of a build, "" when it has none such.
func (b *Build) phase(of string) string {
	if b.Batch == nil {
		return of
	}
	switch of {
	case PhaseSource:
		return PhaseBatchSpec
	case PhaseBuild:
		return PhaseParts
	case PhaseUpload:
		if b.Batch.Combine {
			return PhaseCombine
		}
	case PhaseSubmitted:
		return PhaseSubmitted
	case PhaseCompleted:
		switch b.Status {
		case Succeeded, Stopped:
			return string(b.Status)
		}
		return string(Failed)
	}
	return ""
}

// Enter begins a phase, unless it lasts already; the one before it has succeeded
// by then.
func (b *Build) Enter(phase string, now time.Time) {
	if phase = b.phase(phase); phase == "" || b.Phase == phase {
		return
	}
	b.leave(Succeeded, "", now)
	b.Phase = phase
	b.Phases = append(b.Phases, Phase{Name: phase, Status: InProgress, Started: now})
}

// leave ends the phase that lasts.
func (b *Build) leave(status Status, message string, now time.Time) {
	if n := len(b.Phases); n > 0 && b.Phases[n-1].Ended.IsZero() {
		last := &b.Phases[n-1]
		last.Status, last.Message, last.Ended = status, message, now
	}
}

// End ends the build.
func (b *Build) End(status Status, message string, now time.Time) {
	b.leave(status, message, now)
	b.Status, b.Message, b.Ended = status, message, now
	b.Phase = b.phase(PhaseCompleted)
	b.Phases = append(b.Phases, Phase{Name: b.Phase, Status: status, Started: now, Ended: now})
}
