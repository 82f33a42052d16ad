package deploy

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/invariant"
	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/deploy/verdict"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// run is one deployment under way, from the request to the record. See start.go
// for how one is made.
type run struct {
	*Deployer
	log    *runbook.Runbook
	nonce  string // tells two runs of one process apart
	record pipeline.Deployment
	asked
	course
	headway

	// What is known once the cluster has answered.
	method  method // see choose
	version string // of the API server, see connect

	// What the cluster keeps of the application.
	journal *journal.Journal
	entry   *journal.Entry // of this run, nil until it has one

	// What is to be done.
	situation    plan.Situation                        // of the plan that is carried out
	limit        *limit                                // of the time for it
	claimed      map[string]*unstructured.Unstructured // live objects whose fields are taken over, by kube.Ref.ID
	newNamespace bool                                  // the namespace of a preview is not there

	// What is watched meanwhile.
	invariants *invariant.Handle // nil when nothing is watched
	probe      *verdict.Watchman // nil when nothing is probed
	leaving    *pipeline.Drain   // what the rehearsal of the set that goes has found, nil when it was not rehearsed
}

// connect finds out whether the cluster answers, before anything else.
func (r *run) connect(ctx context.Context) error {
	version, err := r.Cluster.Ping(ctx)
	if err != nil {
		return err
	}
	r.version = version
	r.log.Line("deploy  %s to cluster %s (%s, Kubernetes %s), strategy %s, method %s", r.record.App, r.Cluster.Context, r.Cluster.Server, version, r.record.Strategy, r.record.Method)
	return r.choose(ctx)
}

// underLease runs do as the one and only deployment of the application: with
// its namespace there, its lease held and its journal open.
func (r *run) underLease(ctx context.Context, note string, do func(context.Context) error) error {
	ctx = kube.WithWarnings(ctx, func(text string) { r.log.Line("        the API server warns: %s", text) })
	created, err := r.Cluster.EnsureNamespace(ctx, r.record.Namespace)
	if err != nil {
		return refusal.Or(err, "namespace %s: %v", r.record.Namespace, err)
	}
	if created {
		r.log.Line("create  namespace %s   POST /api/v1/namespaces", r.record.Namespace)
	}
	r.reached("namespace")
	r.doing = "" // Whoever holds the lease gets on.
	held, release, err := journal.Hold(ctx, journal.Claim{
		Cluster: r.Cluster, Log: r.log, App: r.record.App, Namespace: r.record.Namespace,
		Holder: r.Holder + " " + r.nonce, Key: r.key, Note: note, Wait: r.LeaseWait, Duration: r.lease,
	})
	if err != nil {
		return err
	}
	defer release()
	r.doing = planning
	r.reached("lease")
	if r.journal, err = journal.Open(held, r.Cluster, r.record.App, r.record.Namespace); err != nil {
		return err
	}
	if err := do(held); err != nil {
		if cause := context.Cause(held); cause != nil && ctx.Err() == nil {
			return cause // The lease was lost; what failed then is its echo.
		}
		return err
	}
	r.reached("recorded")
	return nil
}

// carryOut brings the objects to the cluster as a new revision, or goes on
// with the revision that was begun under the same key.
func (r *run) carryOut(ctx context.Context, objects []manifest.Object, rollbackTo int) error {
	if e := r.journal.ByKey(r.key); e != nil {
		return r.resume(ctx, e)
	}
	if e, err := r.interrupted(objects); e != nil || err != nil {
		if err != nil {
			return err
		}
		return r.resume(ctx, e)
	}
	if rollbackTo == 0 {
		if err := r.fence(ctx); err != nil {
			return err
		}
	}
	if err := r.fits(objects, rollbackTo != 0); err != nil {
		return err
	}
	steps, found, err := r.intend(ctx, objects)
	if err != nil {
		return err
	}
	// What was refused so far leaves an interrupted revision to be taken up.
	if err := r.closeInterrupted(ctx); err != nil {
		return err
	}
	r.record.Images = manifest.Images(objects)
	if err := r.adopt(ctx, found); err != nil {
		return err
	}
	r.entry, err = r.journal.Add(ctx, journal.Record{
		Deployment: r.record, Key: r.key, Phase: journal.Deploying, Takes: 1, RollbackTo: rollbackTo, Settings: r.settings,
		Adopted: plan.Adopted(r.situation, r.journal.AdoptedBefore(r.record.Revision)),
	}, objects)
	if err != nil {
		return err
	}
	r.log.Line("journal revision %d   POST /api/v1/namespaces/%s/secrets (%s)", r.record.Revision, r.record.Namespace, r.entry.Name())
	r.reached("journal")
	return r.forward(ctx, steps)
}

// intend makes the plan of a new revision, and finds what the revision before
// it has to hold when it is the first one. Nothing is written.
func (r *run) intend(ctx context.Context, objects []manifest.Object) (steps []plan.Step, found []manifest.Object, err error) {
	situation, err := r.survey(ctx, objects)
	if err != nil {
		return nil, nil, err
	}
	if good := r.journal.GoodBefore(situation.Revision); good != nil {
		r.record.Previous = good.Revision()
	}
	if found = r.found(situation); len(found) > 0 {
		r.record.Previous = situation.Revision // It is theirs.
		situation.Revision++
	}
	r.record.Revision = situation.Revision
	steps, err = r.prepare(ctx, situation)
	return steps, found, err
}

// resume goes on where a process that has ended since has stopped.
func (r *run) resume(ctx context.Context, e *journal.Entry) error {
	r.takeOver(e)
	if e.Phase == journal.Ended {
		r.log.Line("resume  revision %d had ended already: %s", e.Revision(), e.Deployment.Outcome)
		return nil
	}
	r.log.Line("resume  revision %d (%s, %d steps done): another process began it", e.Revision(), e.Phase, len(e.Done))
	e.Takes++
	if err := r.journal.Save(ctx, e); err != nil {
		return err
	}
	if e.Phase == journal.Reverting {
		if r.record.Verdict = verdict.Sweep(ctx, r.measured()); r.record.Verdict == nil {
			r.record.Verdict = e.Counted.Verdict()
		}
		return r.revert(ctx, refusal.New("%s", e.Cause))
	}
	objects, err := e.Objects()
	if err != nil {
		return err
	}
	situation, err := r.survey(ctx, objects)
	if err != nil {
		return err
	}
	steps, err := r.prepare(ctx, situation)
	if refusal.Is(err) {
		return r.revert(ctx, err)
	}
	if err != nil {
		return err
	}
	return r.forward(ctx, steps)
}

// forward carries the plan of a new revision out and ends the revision, well
// or by reverting it.
func (r *run) forward(ctx context.Context, steps []plan.Step) error {
	limited, limit, cancel := limited(ctx, r.timeout, refusal.Deadline("the rollout took longer than its timeout of %s", r.timeout))
	defer cancel()
	r.limit = limit
	limited, followed := r.journal.Watch(limited, r.record.Revision)
	defer followed()
	if r.probe == nil {
		verdict.Sweep(ctx, r.measured())
	} else {
		defer r.probe.Drop()
		var stop func()
		limited, stop = r.probe.Guard(limited)
		defer stop()
	}
	err := r.guarded(limited, steps)
	if cause := context.Cause(limited); err != nil && cause != nil && ctx.Err() == nil {
		err = refusal.Because(err, cause)
	}
	switch overtaken := invariant.Overtaken(err); {
	case err == nil:
		return r.succeed(ctx)
	case ctx.Err() != nil:
		// The process is told to end, or has lost the lease: what failed then
		// says nothing about the application, and whoever takes it up goes on.
		return stopped(ctx, err)
	case overtaken != nil:
		return r.giveUp(ctx, overtaken, "Nothing was brought back.")
	case refusal.Is(err):
		return r.revert(ctx, err)
	}
	return err
}

// stopped is the error of what ended because its context did. It is no refusal.
func stopped(ctx context.Context, err error) error {
	if refusal.Is(err) {
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return err
}

// guarded carries steps out while the invariants are watched.
func (r *run) guarded(ctx context.Context, steps []plan.Step) error {
	ctx, stop, err := r.guard(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err = r.migrate(ctx, r.situation); err == nil {
		err = r.walk(ctx, steps)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		if overtaken := invariant.Overtaken(cause); overtaken != nil {
			return overtaken
		}
		err = refusal.Because(err, cause)
	}
	return err
}

// prepare makes the plan for a situation and prints it. Nothing is written.
func (r *run) prepare(ctx context.Context, s plan.Situation) (steps []plan.Step, err error) {
	if r.probe, err = verdict.Choose(plan.WithoutPreviews(s.Desired), r.measured()); err != nil {
		return nil, err
	}
	switch {
	case r.probe != nil:
		s.Probe, s.Rate = r.probe.Name(), r.probe.Rate()
	case r.verify.Off:
		r.log.Line("probe   off: this deployment will have no verdict")
	default:
		r.log.Line("probe   nothing to measure: no Service of the manifests selects the pods of a Deployment")
	}
	if s.Merged, err = r.dryRunAll(ctx, s); err != nil {
		return nil, err
	}
	r.reached("dry-run")
	if steps, err = plan.Plan(s); err != nil {
		return nil, err
	}
	r.situation = s
	r.print(steps)
	return steps, nil
}

// closeInterrupted gives the revisions that nobody came back for an outcome,
// so that the journal tells the truth.
func (r *run) closeInterrupted(ctx context.Context) error {
	for _, e := range r.journal.Entries {
		if e.Phase == journal.Ended {
			continue
		}
		r.log.Line("journal revision %d was interrupted and is closed as failed", e.Revision())
		if err := r.stopJobs(ctx, e); err != nil {
			return err
		}
		e.Phase, e.Deployment.Outcome = journal.Ended, pipeline.Failed
		e.Deployment.Message = "interrupted: its process ended in the middle and it was not resumed before the next deployment"
		if err := r.journal.Save(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) print(steps []plan.Step) {
	if r.previews {
		return
	}
	r.log.Line("plan    revision %d, %s:", r.record.Revision, after(r.record.Previous))
	for i, s := range steps {
		r.log.Line("  %3d   %s", i+1, s)
	}
}

func after(previous int) string {
	if previous == 0 {
		return "the first one"
	}
	return fmt.Sprintf("after revision %d", previous)
}
