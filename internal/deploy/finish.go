package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/deploy/invariant"
	"github.com/towline/towline/internal/deploy/job"
	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rehearsal"
	"github.com/towline/towline/internal/pipeline"
)

// succeed closes the revision as the one that runs.
func (r *run) succeed(ctx context.Context) error {
	if r.probe != nil {
		r.record.Verdict, r.record.URL = r.probe.Verdict(), r.probe.URL()
		if v := r.record.Verdict; v != nil && v.KeepAlive.Lost > 0 {
			v.Hint = rehearsal.Cause(r.leaving, *v)
			r.log.Line("        %s", v.Hint)
		}
	}
	r.record.Outcome = pipeline.Succeeded
	if err := r.end(ctx); err != nil {
		return err
	}
	r.log.Line("done    revision %d of %s runs, in %.1f s%s", r.record.Revision, r.record.App, r.record.Seconds, verdictText(r.record.Verdict))
	// The Jobs of this revision stay for a look, those of earlier ones go.
	if err := job.Sweep(ctx, job.Config{Cluster: r.Cluster, Method: r.method, Log: r.log, Now: r.Now}, r.record.Namespace, r.record.App, int64(r.record.Revision)); err != nil {
		r.log.Line("        Jobs of earlier revisions not removed: %s", err)
	}
	return nil
}

func verdictText(v *pipeline.Verdict) string {
	if v == nil {
		return ""
	}
	return " · " + v.String()
}

// end writes the record of the revision for good.
func (r *run) end(ctx context.Context) error {
	r.record.Seconds = r.Now().Sub(r.record.Started).Seconds()
	r.entry.Deployment, r.entry.Phase, r.entry.Passed = r.record, journal.Ended, nil
	r.reached("end")
	if err := r.save(ctx); err != nil {
		return err
	}
	if err := r.journal.Trim(ctx); err != nil {
		r.log.Line("journal not trimmed: %s", err)
	}
	return nil
}

// giveUp ends the revision as failed and leaves the cluster as it is: what this
// deployment would bring back belongs to somebody else by now. What is left is
// said in a sentence.
func (r *run) giveUp(ctx context.Context, why error, left string) error {
	r.log.Line("failed  %s", why)
	r.record.Outcome, r.record.Message = pipeline.Failed, why.Error()+"\n"+left
	if r.record.Previous > 0 {
		r.record.Message += fmt.Sprintf(" If nobody else sees to it, `towline rollback %s --namespace %s --to %d` does.", r.record.App, r.record.Namespace, r.record.Previous)
	}
	if r.probe != nil {
		r.record.Verdict = r.probe.Verdict()
	}
	return r.end(ctx)
}

// revert brings back the last good revision after a step of the present one
// has said no, and ends the present one as failed. It has a deadline of its
// own. Without a good revision the objects are left for a look.
func (r *run) revert(ctx context.Context, why error) error {
	r.log.Line("failed  %s", why)
	r.record.Message = why.Error()
	r.entry.Phase, r.entry.Cause, r.entry.Deployment = journal.Reverting, why.Error(), r.record
	if err := r.save(ctx); err != nil {
		return err
	}
	r.reached("reverting")
	r.stopJobsFor(ctx, stopPatience)
	back := r.journal.GoodBefore(r.record.Revision)
	var err error
	if back == nil {
		r.record.Message += "\nThere is no earlier revision to go back to: the objects are left in the cluster for a look. " +
			"The next deployment replaces them; `kubectl -n " + r.record.Namespace + " delete deployments,services -l " + plan.AppLabel + "=" + r.record.App + "` removes them."
	} else {
		r.log.Line("revert  to revision %d, within %s", back.Revision(), r.revertTimeout())
		if err = r.goBack(ctx, back); err != nil && ctx.Err() != nil {
			return stopped(ctx, err)
		}
	}
	if overtaken := invariant.Overtaken(err); overtaken != nil {
		r.record.Message += "\nThe revert has met somebody else: " + overtaken.Error()
		return r.giveUp(ctx, errors.New(r.record.Message), "What the revert has brought back so far stays, and the rest is left as it is.")
	}
	if err != nil && !refusal.Is(err) {
		return err // Whoever takes the revert up finds the prober still counting.
	}
	if r.probe != nil {
		r.record.Verdict = r.probe.Verdict()
	}
	switch {
	case err != nil:
		r.record.Message += fmt.Sprintf("\nThe revert to revision %d failed as well, so the cluster is between two revisions: %s\n"+
			"Mend the cause and run `towline rollback %s --namespace %s --to %d`.", back.Revision(), err, r.record.App, r.record.Namespace, back.Revision())
	case back != nil:
		r.record.Reverted = true
		r.record.Message += fmt.Sprintf("\nReverted to revision %d.", back.Revision())
	}
	r.record.Outcome = pipeline.Failed
	if err := r.end(ctx); err != nil {
		return err
	}
	r.log.Line("ended   revision %d of %s failed after %.1f s%s", r.record.Revision, r.record.App, r.record.Seconds, verdictText(r.record.Verdict))
	return nil
}

// revertTimeout is how long a revert may take. A short timeout of the rollout
// must not leave the cluster between two revisions.
func (r *run) revertTimeout() time.Duration { return max(r.timeout, r.Revert) }

// goBack applies an earlier revision's objects, under the sequence of the
// present one, and waits for them.
func (r *run) goBack(ctx context.Context, back *journal.Entry) error {
	limited, limit, cancel := limited(ctx, r.revertTimeout(), refusal.Deadline("the revert took longer than %s", r.revertTimeout()))
	defer cancel()
	r.limit = limit
	objects, err := back.Objects()
	if err != nil {
		return err
	}
	if objects, err = r.renew(limited, objects); err != nil {
		return err
	}
	own, err := r.entry.Made()
	if err != nil {
		return err
	}
	strategy := plan.Rolling
	if r.record.Strategy != plan.Rolling || back.Deployment.Strategy != plan.Rolling {
		strategy = plan.BlueGreen // There are sets to leave, or to go back to.
	}
	r.course = backwards(strategy)
	r.situation, err = r.survey(limited, objects, own...)
	if err != nil {
		return err
	}
	steps, err := plan.Plan(r.situation)
	if err != nil {
		return err
	}
	guarded, stop := r.guardBack(limited)
	defer stop()
	err = r.walk(guarded, steps)
	if overtaken := invariant.Overtaken(context.Cause(guarded)); err != nil && overtaken != nil {
		return overtaken
	}
	if cause := context.Cause(limited); err != nil && cause != nil && ctx.Err() == nil {
		err = refusal.Because(err, cause)
	}
	return err
}
