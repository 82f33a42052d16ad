package deploy

import (
	"cmp"
	"context"
	"time"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// Rollback brings an earlier revision back as a new one with a higher number.
// It needs nothing but the cluster's journal, which holds the manifests and
// the configuration of that revision. Fields that someone else has set since
// are taken over: whoever rolls back wants what was there.
func (d *Deployer) Rollback(ctx context.Context, request RollbackRequest) (pipeline.Deployment, error) {
	r := d.toRollBack(request)
	return r.settle(ctx, r.rollback(ctx, request.To))
}

func (r *run) rollback(ctx context.Context, to int) error {
	if err := r.check(); err != nil {
		return err
	}
	if problems := r.settings.Problems(); len(problems) > 0 {
		return refusal.New("%s", problems)
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	return r.underLease(ctx, "rolling back", func(ctx context.Context) error {
		if e := r.journal.ByKey(r.key); e != nil {
			return r.resume(ctx, e)
		}
		target, err := r.target(to)
		if err != nil {
			return err
		}
		r.log.Line("revert  to revision %d", target.Revision())
		if running := r.journal.GoodBefore(r.journal.Latest() + 1); running != nil {
			r.asked = ask(r.key, over(running.Settings, r.settings))
		}
		if r.settings.Method != "" && r.settings.Method != r.record.Method {
			r.record.Method = r.settings.Method
			if err := r.choose(ctx); err != nil {
				return err
			}
		}
		r.record.Commit, r.record.Execution = target.Deployment.Commit, target.Deployment.Execution
		objects, err := r.former(target)
		if err != nil {
			return err
		}
		if objects, err = r.renew(ctx, objects); err != nil {
			return err
		}
		r.course = backwards(r.strategyBack())
		return r.carryOut(ctx, objects, target.Revision())
	})
}

// former are the objects to go back to. A revision of before there were sets
// becomes one: its Deployments select the pods of the running sets as well, so
// that these could not be taken out of a Service before they end.
func (r *run) former(target *journal.Entry) ([]manifest.Object, error) {
	objects, err := target.Objects()
	if err != nil {
		return nil, err
	}
	r.record.Strategy = target.Deployment.Strategy
	running := r.journal.GoodBefore(r.journal.Latest() + 1)
	if running == nil || running.Deployment.Strategy == plan.Rolling || r.record.Strategy != plan.Rolling {
		return objects, nil
	}
	r.record.Strategy = running.Deployment.Strategy
	if objects, err = plan.SideBySide(objects, r.record.Strategy == plan.BlueGreen); err != nil {
		return nil, err
	}
	if r.settings.Route != "" {
		if objects, err = plan.ByRoute(objects, r.settings.Route); err != nil {
			return nil, err
		}
	}
	return manifest.Sort(objects), nil
}

// strategyBack is the plan by which a rollback gets from what runs to what its
// record says: with sets on either side they are left, or gone back to.
func (r *run) strategyBack() string {
	running := r.journal.GoodBefore(cmp.Or(r.record.Revision, r.journal.Latest()+1))
	if running != nil && (running.Deployment.Strategy != plan.Rolling || r.record.Strategy != plan.Rolling) {
		return plan.BlueGreen
	}
	return r.record.Strategy
}

// over are the settings of the running revision, so that going back is measured
// and waited for as going forward was, under those that were asked for.
func over(running, asked pipeline.Deploy) pipeline.Deploy {
	running.Timeout, running.Method = cmp.Or(asked.Timeout, running.Timeout), cmp.Or(asked.Method, running.Method)
	if asked.Verify.Given() {
		running.Verify = asked.Verify
	}
	return running
}

// waitOf is a duration of the settings.
func waitOf(text string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return otherwise
}

// target is the revision to go back to.
func (r *run) target(to int) (*journal.Entry, error) {
	if len(r.journal.Entries) == 0 {
		return nil, refusal.New("the journal of namespace %s has no revision of %s: check the names with `towline deployments`, and the context %s",
			r.record.Namespace, r.record.App, r.Cluster.Context)
	}
	if to != 0 {
		e := r.journal.ByRevision(to)
		switch {
		case e == nil:
			return nil, refusal.New("the journal has no revision %d of %s any more: it keeps the last %d", to, r.record.App, journal.Kept)
		case !e.Good():
			return nil, refusal.New("revision %d of %s did not succeed: choose one that did", to, r.record.App)
		}
		return e, nil
	}
	// What runs now is the last good revision; the one before it is meant. One
	// that is itself a rollback to that other one would change nothing.
	running := r.journal.GoodBefore(r.journal.Latest() + 1)
	if running == nil {
		return nil, refusal.New("no revision of %s has ever succeeded: there is nothing to go back to", r.record.App)
	}
	before := running.Revision()
	if running.RollbackTo != 0 {
		before = running.RollbackTo
	}
	e := r.journal.GoodBefore(before)
	if e == nil {
		return nil, refusal.New("revision %d is the first of %s that succeeded: there is nothing to go back to", before, r.record.App)
	}
	return e, nil
}
