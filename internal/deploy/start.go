package deploy

import (
	"cmp"
	"crypto/rand"
	"io"
	"time"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/pipeline"
)

// asked is what a run is to do: as a request says it, or as the journal has kept
// it of the process before.
type asked struct {
	key      string          // names the deployment over restarts
	settings pipeline.Deploy // checked, see pipeline.Deploy.Problems
	timeout  time.Duration   // of the settings
	verify   pipeline.Verify // of the settings
	ancestry Ancestry        // see Request
	takeUp   bool            // see Request
	previews bool            // nothing is to be written, not even the plan to the log
}

// ask is what is asked for by settings, those of a request or those that the
// journal has kept.
func ask(key string, settings pipeline.Deploy) asked {
	return asked{key: key, settings: settings, timeout: waitOf(settings.Timeout, DefaultTimeout), verify: settings.Verify}
}

// course is which way a run goes. The zero value is forward, to a new revision.
type course struct {
	force    bool   // fields are taken over from other managers
	back     bool   // an earlier revision is brought back: nobody is asked on the way
	strategy string // of the plan, when it is not the record's
}

// backwards is the way to an earlier revision, by the plan of a strategy. The
// cluster must get back what it had, whoever has touched it since.
func backwards(strategy string) course { return course{force: true, back: true, strategy: strategy} }

// newRun is what all runs begin with. Each way to start has a function of its
// own below.
func (d *Deployer) newRun(app, namespace string, log io.Writer, progress func(string)) *run {
	return &run{
		Deployer: d, log: runbook.New(log, progress), nonce: rand.Text()[:8],
		record:  pipeline.Deployment{App: app, Namespace: namespace, Cluster: d.Cluster.Context, Started: d.Now()},
		headway: headway{begun: time.Now(), notes: -1, doing: planning},
	}
}

// toDeploy makes the run of a request.
func (d *Deployer) toDeploy(request Request) *run {
	r := d.newRun(request.App, request.Namespace, request.Log, request.Progress)
	r.asked = ask(cmp.Or(request.Key, rand.Text()), request.Deploy)
	r.ancestry, r.takeUp = request.Ancestry, request.TakeUp
	r.record.Method, r.record.Strategy = cmp.Or(request.Method, methodAPI), cmp.Or(request.Strategy, plan.Rolling)
	r.record.Commit, r.record.Execution = request.Commit, request.Execution
	return r
}

// toPreview makes the run of a request that is only looked at.
func (d *Deployer) toPreview(request Request) *run {
	r := d.toDeploy(request)
	r.previews = true
	return r
}

// toRollBack makes the run of a rollback. Its way is known once the journal is
// open: see rollback.
func (d *Deployer) toRollBack(request RollbackRequest) *run {
	r := d.newRun(request.App, cmp.Or(request.Namespace, d.Cluster.Namespace, "default"), request.Log, request.Progress)
	r.asked = ask(cmp.Or(request.Key, rand.Text()), pipeline.Deploy{Method: request.Method, Timeout: request.Timeout, Verify: request.Verify})
	r.record.Method, r.record.Strategy = cmp.Or(request.Method, methodAPI), plan.Rolling
	return r
}

// toResume makes the run that waits for a deployment under way and goes on with
// it: see takeOver.
func (d *Deployer) toResume(request ResumeRequest) *run {
	patient := &Deployer{d.Config}
	patient.LeaseWait = endless
	r := patient.newRun(request.App, request.Namespace, request.Log, request.Progress)
	r.key = rand.Text() // of the lease, until the revision's own is known
	return r
}

// toCompare makes the run that looks how a revision would be applied once more.
func (d *Deployer) toCompare(j *journal.Journal, e *journal.Entry) *run {
	r := d.newRun(e.Deployment.App, e.Deployment.Namespace, nil, nil)
	r.asked, r.course = ask("", e.Settings), course{force: true}
	r.record, r.journal = e.Deployment, j
	return r
}

// takeOver makes this run the one of a revision that another process has begun.
// All that was asked for is in the journal.
func (r *run) takeOver(e *journal.Entry) {
	r.entry, r.record, r.notes, r.phase = e, e.Deployment, len(e.Done), e.Phase
	r.asked = ask(e.Key, e.Settings) // Its Jobs are found again by the key.
	if r.course = (course{}); e.RollbackTo != 0 {
		r.course = backwards(r.strategyBack())
	}
}
