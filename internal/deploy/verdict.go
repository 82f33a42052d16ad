package deploy

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/verdict"
)

// measured is what the requests that are sent through this run need to know.
func (r *run) measured() verdict.Config {
	var before *verdict.Counted
	if r.entry != nil {
		before = r.entry.Counted
	}
	return verdict.Config{
		Cluster: r.Cluster, Log: r.log, App: r.record.App, Namespace: r.record.Namespace, Revision: r.record.Revision, Verify: r.verify,
		Resumed: r.entry != nil, Before: before, AgentImage: r.AgentImage, Host: r.Pull.Host, Password: r.Pull.Password,
		Unschedulable: r.Unschedulable, Longest: r.longest(),
	}
}

// save writes the journal, with what has been counted until now: whoever goes
// on when this process is killed judges those losses too.
func (r *run) save(ctx context.Context) error {
	if r.probe != nil {
		if counted := r.probe.Counted(); counted != nil {
			r.entry.Counted = counted
		}
	}
	return r.journal.Save(ctx, r.entry)
}

// conclude judges the requests. Losses that the budget allows are written at
// once, since no other write may come before the end.
func (r *run) conclude(ctx context.Context) error {
	if err := r.probe.Conclude(ctx); err != nil {
		return err
	}
	if counted := r.probe.Counted(); counted != nil && counted.Lost > 0 {
		return r.save(ctx)
	}
	return nil
}

// longest is how long the deployment may wait in all, for its pods and for the
// approval that it may need.
func (r *run) longest() time.Duration {
	s := r.settings
	longest := r.timeout + waitOf(s.Analysis, DefaultAnalysis) + waitOf(s.ScaleDownDelay, DefaultScaleDownDelay)
	if s.Approval {
		longest += waitOf(s.ApprovalWait, DefaultApprovalWait)
	}
	return longest
}

// mark writes a moment onto the timeline of the verdict.
func (r *run) mark(text string) {
	if r.probe != nil {
		r.probe.Mark(text)
	}
}

// forgiveSet forgives what a set cuts whose application does so. The function
// that it returns is to be called when the set has gone.
func (r *run) forgiveSet(live *unstructured.Unstructured) (gone func()) {
	if !r.mayCut(live) || r.probe == nil {
		return func() {}
	}
	return r.probe.Forgive()
}

// mayCut tells whether a set may cut connections when it ends: its rehearsal has
// said it, or nobody has rehearsed it.
func (r *run) mayCut(live *unstructured.Unstructured) bool {
	found, known := r.rehearsed(live)
	if known && (r.leaving == nil || !found.Clean) { // The hint of the verdict names the one that explains losses.
		r.leaving = &found
	}
	return !known || !found.Clean
}
