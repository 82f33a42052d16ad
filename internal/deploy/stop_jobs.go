package deploy

import (
	"context"
	"slices"
	"time"

	"github.com/towline/towline/internal/deploy/job"
	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
)

// stopPatience is how long a revert waits for the Jobs of its revision to stop.
const stopPatience = 30 * time.Second

// stopJobs ends the Jobs that a revision has left at work, when it is given up:
// a migration of an interrupted deployment must not run beside that of the next
// one, nor beside what a revert brings back.
func (r *run) stopJobs(ctx context.Context, e *journal.Entry) error {
	namespaces := []string{e.Deployment.Namespace}
	for _, done := range e.Done {
		if done.Verb == plan.VerbRun && !slices.Contains(namespaces, done.Ref.Namespace) {
			namespaces = append(namespaces, done.Ref.Namespace)
		}
	}
	config := job.Config{Cluster: r.Cluster, Method: r.method, Log: r.log, Now: r.Now}
	for _, namespace := range namespaces {
		if err := job.Stop(ctx, config, namespace, r.record.App, int64(e.Revision())); err != nil {
			return err
		}
	}
	return nil
}

// stopJobsFor is stopJobs for the revision that is reverted. What served before
// must come back, whatever becomes of the Jobs.
func (r *run) stopJobsFor(ctx context.Context, atMost time.Duration) {
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, refusal.Deadline("they take longer than %s", atMost))
	defer cancel()
	if err := r.stopJobs(ctx, r.entry); err != nil {
		r.log.Line("        Jobs of revision %d may still be at work: %s", r.record.Revision, err)
	}
}
