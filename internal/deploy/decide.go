package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/pipeline"
)

// endless is how long a decision waits for the lease: whoever holds it carries
// the decision out, and gives the lease back when the deployment has ended.
const endless = 1 << 62

// DecideRequest asks to promote or to abort a deployment under way.
type DecideRequest struct {
	App       string
	Namespace string
	Revision  int    // 0: the one that is under way
	By        string // who decides, such as anna@laptop
	Reason    string // may be empty
	// Leave returns once the decision is written down. Otherwise the end of the
	// deployment is waited for, and it is taken up when its process is gone.
	Leave    bool
	Log      io.Writer
	Progress func(line string)
}

// Promote lets the requests of a deployment move that waits for it, and
// returns the deployment's record; see DecideRequest.Leave.
func (d *Deployer) Promote(ctx context.Context, request DecideRequest) (pipeline.Deployment, error) {
	return d.decide(ctx, request, journal.Promote)
}

// Abort stops a deployment under way and brings back what was there before it,
// and returns the deployment's record; see DecideRequest.Leave.
func (d *Deployer) Abort(ctx context.Context, request DecideRequest) (pipeline.Deployment, error) {
	return d.decide(ctx, request, journal.Abort)
}

func (d *Deployer) decide(ctx context.Context, request DecideRequest, choice journal.Choice) (pipeline.Deployment, error) {
	if _, err := d.Cluster.Ping(ctx); err != nil {
		return pipeline.Deployment{}, err
	}
	j, err := journal.Open(ctx, d.Cluster, request.App, request.Namespace)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	e, err := underWay(j, request, choice)
	if err != nil {
		return pipeline.Deployment{}, err
	}
	log := runbook.New(request.Log, request.Progress)
	decision := journal.Decision{Revision: e.Revision(), Choice: choice, By: request.By, At: d.Now(), Reason: request.Reason}
	err = j.Decide(ctx, decision)
	if decided, ok := errors.AsType[*journal.DecidedError](err); ok && decided.Choice == choice {
		log.Line("decide  %s", decided) // What follows of it may have got no further.
	} else if err != nil {
		return e.Deployment, err
	} else {
		log.Line("decide  revision %d of %s: %s", e.Revision(), request.App, decision)
	}
	if request.Leave {
		return e.Deployment, nil
	}
	ended, err := d.Resume(ctx, ResumeRequest{App: request.App, Namespace: request.Namespace, Revision: e.Revision(), Log: request.Log, Progress: request.Progress})
	if err == nil && choice == journal.Abort && ended.Outcome == pipeline.Succeeded {
		err = fmt.Errorf("revision %d of %s had succeeded before it heard of the abort: `towline rollback %s` brings back the one before", ended.Revision, request.App, request.App)
	}
	return ended, err
}

// underWay is the revision that a decision is about. That there is none to
// decide about is an error that says what to do instead.
func underWay(j *journal.Journal, request DecideRequest, choice journal.Choice) (*journal.Entry, error) {
	revision := request.Revision
	if revision == 0 {
		revision = j.Latest()
	}
	e := j.ByRevision(revision)
	switch {
	case e == nil && request.Revision == 0:
		return nil, fmt.Errorf("the journal of namespace %s has no revision of %s: check the names with `towline deployments`", request.Namespace, request.App)
	case e == nil:
		return nil, fmt.Errorf("the journal has no revision %d of %s: see `towline deployments %s`", revision, request.App, request.App)
	case e.Phase == journal.Ended && choice == journal.Abort && e.Good():
		return nil, fmt.Errorf("revision %d of %s has ended (%s), there is nothing to abort: `towline rollback %s` brings back the one before", revision, request.App, e.Deployment.Outcome, request.App)
	case e.Phase == journal.Ended:
		return nil, fmt.Errorf("revision %d of %s has ended (%s): no deployment of it is under way. `towline rollback %s --to REVISION` brings a revision back", revision, request.App, e.Deployment.Outcome, request.App)
	case e.Phase == journal.Reverting && choice == journal.Promote:
		return nil, fmt.Errorf("revision %d of %s is being reverted already: %s", revision, request.App, e.Cause)
	case choice == journal.Promote && !e.Settings.Approval:
		return nil, fmt.Errorf("revision %d of %s waits for no approval: it goes on by itself", revision, request.App)
	case choice == journal.Promote && e.Waiting.IsZero():
		return nil, fmt.Errorf("revision %d of %s is not ready to be promoted yet: its new pods are still being brought up and checked. Try again when its log says so", revision, request.App)
	}
	return e, nil
}

// ResumeRequest names a deployment to go on with.
type ResumeRequest struct {
	App       string
	Namespace string
	Revision  int
	Log       io.Writer
	Progress  func(line string)
}

// Resume waits until a deployment has ended and returns its record. When its
// process is gone it is carried to its end, with the settings that the journal
// has kept of it.
func (d *Deployer) Resume(ctx context.Context, request ResumeRequest) (pipeline.Deployment, error) {
	r := d.toResume(request)
	return r.settle(ctx, r.underLease(ctx, "resuming", func(ctx context.Context) error {
		e := r.journal.ByRevision(request.Revision)
		if e == nil {
			return fmt.Errorf("the journal has no revision %d of %s any more", request.Revision, request.App)
		}
		r.record = e.Deployment
		if err := r.choose(ctx); err != nil {
			return err
		}
		return r.resume(ctx, e)
	}))
}

// approve waits until somebody promotes the revision. That somebody aborts it,
// or that nobody says anything for too long, is a refusal.
func (r *run) approve(ctx context.Context, atMost time.Duration) error {
	if r.entry.Waiting.IsZero() {
		r.entry.Waiting = r.Now().UTC()
	}
	if err := r.save(ctx); err != nil {
		return err
	}
	r.reached("waiting")
	until := r.entry.Waiting.Add(atMost)
	place := fmt.Sprintf("%s --namespace %s", r.record.App, r.record.Namespace)
	r.log.Line("approve revision %d waits for a decision until %s:", r.record.Revision, until.Format(time.RFC3339))
	r.log.Line("        towline promote %s   lets the requests move to it", place)
	r.log.Line("        towline abort %s     gives it up", place)
	defer r.limit.pause()()
	if r.probe != nil {
		defer r.probe.Rest(ctx)()
	}
	decision, err := r.decision(ctx, until, refusal.Deadline("nobody has promoted revision %d within %s", r.record.Revision, atMost))
	if err != nil {
		return err
	}
	if decision.Choice == journal.Abort {
		return refusal.New("revision %d was %s", r.record.Revision, decision)
	}
	r.log.Line("approve revision %d was %s", r.record.Revision, decision)
	r.entry.Waiting = time.Time{}
	return r.save(ctx)
}

// decision waits for one until a time, and looks for it once more then: it may
// have been written while nobody looked, since the process was away, or since
// the cluster was.
func (r *run) decision(ctx context.Context, until time.Time, over error) (journal.Decision, error) {
	limited, cancel := context.WithDeadlineCause(ctx, until, over)
	defer cancel()
	decision, err := r.journal.FollowDecision(limited, r.record.Revision)
	if err == nil || ctx.Err() != nil || limited.Err() == nil {
		return decision, err
	}
	found, lookErr := r.journal.Decisions(ctx, r.record.Revision)
	if lookErr != nil || len(found) == 0 {
		return journal.Decision{}, errors.Join(err, lookErr)
	}
	return found[0], nil
}
