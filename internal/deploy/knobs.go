package deploy

import (
	"time"

	"github.com/towline/towline/internal/deploy/plan"
)

// The defaults of a cut-over.
const (
	DefaultPropagation    = 10 * time.Second
	DefaultAnalysis       = 5 * time.Second
	DefaultScaleDownDelay = 30 * time.Second
	DefaultApprovalWait   = 24 * time.Hour
	defaultDrain          = "warn"
)

// knobs are the settings of the deployment that a plan depends on.
func (r *run) knobs() plan.Knobs {
	s := r.settings
	knobs := plan.Knobs{
		Union: s.Cutover == "union", Route: s.Route, Approval: s.Approval, ApprovalWait: waitOf(s.ApprovalWait, DefaultApprovalWait),
		Propagation: waitOf(s.Propagation, DefaultPropagation), Analysis: waitOf(s.Analysis, DefaultAnalysis),
		ScaleDownDelay: waitOf(s.ScaleDownDelay, DefaultScaleDownDelay), Drain: s.Drain, Checks: s.Checks, Prune: s.Prune,
	}
	if knobs.Drain == "" && r.record.Strategy != plan.Rolling { // Rolling has no moment before which to rehearse; it is done when asked for.
		knobs.Drain = defaultDrain
	}
	return knobs
}
