package deploy

import (
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/rehearsal"
	"github.com/towline/towline/internal/manifest"
)

// The defaults of a cut-over.
const (
	DefaultAnalysis       = 5 * time.Second
	DefaultScaleDownDelay = 30 * time.Second
	DefaultApprovalWait   = 24 * time.Hour
)

// knobs are the settings of the deployment that a plan depends on.
func (r *run) knobs(objects []manifest.Object) plan.Knobs {
	s := r.settings
	knobs := plan.Knobs{
		Union: s.Cutover == "union", Approval: s.Approval, ApprovalWait: waitOf(s.ApprovalWait, DefaultApprovalWait),
		Propagation: r.propagation(objects), Analysis: waitOf(s.Analysis, DefaultAnalysis),
		ScaleDownDelay: waitOf(s.ScaleDownDelay, r.scaleDown), Drain: s.Drain, Checks: s.Checks, Prune: s.Prune,
	}
	if knobs.Drain == "" && r.record.Strategy != plan.Rolling { // Rolling has no moment before which to rehearse; it is done when asked for.
		knobs.Drain = rehearsal.PolicyWarn
	}
	return knobs
}

// propagation is how long it takes until nobody sends requests to a pod that has
// left its Services: what the user says, or by what leads to them.
func (r *run) propagation(objects []manifest.Object) time.Duration {
	otherwise := r.Recipe.Detach
	if otherwise == 0 {
		otherwise = manifest.DetachOf(objects, plan.Served(objects)...)
	}
	return waitOf(r.settings.Propagation, otherwise)
}
