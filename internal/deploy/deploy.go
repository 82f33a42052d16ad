// Package deploy brings an application's manifests to a cluster so that no
// request is lost, and back again when it must. Its noun is the deployment: a
// revision of one application, kept in the cluster's own journal. It stands
// after image in the flow and hands its verdict to report.
//
// The flow of one deployment:
//
//	render -> namespace -> lease -> dry-run -> Plan -> journal -> steps -> verdict
//	                                                       |
//	                                                       +-> revert, when a step says no
//
// To read it in that order: deploy.go (the request and how it ends), start.go
// (what a run knows from its beginning), run.go (the flow above), render.go and
// resolve.go (the objects), survey*.go and dryrun.go (what a plan depends on),
// the inner package plan (one file per strategy), steps.go (carrying it out; a
// verb with more to it has a file of its own: switch.go, serve.go, drain.go ...),
// finish.go (success and revert). What has a noun of its own is an inner package:
// rollout (when is a workload done), journal, verdict (what was lost), invariant,
// check, job, rehearsal, kubectl, pullsecret.
//
// Plan and the judgement of a rollout are pure functions; the rest carries
// them out through kube. The room knows no git, no server and no pipeline
// engine: all that it needs to resume or to go back is in the journal.
//
// What the credentials must allow is in kube.DeploymentRights, and as a Role in
// docs/deploying/clusters.md.
package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/manifest/renderer"
	"github.com/towline/towline/internal/pipeline"
)

// The defaults of Config and Request.
const (
	DefaultTimeout       = 10 * time.Minute
	DefaultLeaseWait     = 2 * time.Minute
	DefaultUnschedulable = time.Minute
	DefaultRevert        = 3 * time.Minute
	methodAPI            = "api"
)

// Config is what a Deployer needs to know.
type Config struct {
	Cluster *kube.Cluster
	// Holder names this process in the lease, default host and process number.
	Holder string
	// LeaseWait is how long to wait for another deployment of the same
	// application to end.
	LeaseWait time.Duration
	// Unschedulable is how long a new pod may find no node before the
	// deployment fails: the time an autoscaler needs to bring one.
	Unschedulable time.Duration
	// Revert is the least time that going back gets, however short the timeout
	// of the deployment was.
	Revert time.Duration
	// Recipe is what is completed in the manifests; see manifest.Complete.
	Recipe manifest.Recipe
	// Kubectl is the program that the method kubectl runs, default the first on
	// $PATH.
	Kubectl string
	// AgentImage is the reference, by digest, of the image that carries the
	// agent (see the room agent), pushed to where the nodes pull from. It is
	// asked for when the first pod needs it. Nil means that there is none.
	AgentImage func(context.Context) (string, error)
	// Charts renders Helm charts; its zero value does so in this process.
	Charts renderer.Renderer
	// Pull makes the pull secrets for a registry that asks for passwords.
	Pull PullSource
	// Now is the clock, default time.Now.
	Now func() time.Time

	// lease and scaleDown are shorter in tests than for users: how long the
	// lease holds unrenewed, and how long an old set stays when the request does
	// not say it.
	lease, scaleDown time.Duration

	// reached, when it is set, hears the name of each point of the protocol as
	// it is reached. The tests of resuming kill the process there.
	reached func(point string)
}

// PullSource is where the passwords come from that pods pull their images with.
// The zero value leaves pulling to the manifests.
type PullSource struct {
	// Host begins the names of the registry's images, such as localhost:7777.
	Host string
	// Password makes one that is good for pulling from those repositories only.
	Password func(repositories ...string) (string, error)
}

// Deployer deploys to one cluster. It is safe for concurrent use; the lease
// keeps deployments of one application apart.
type Deployer struct{ Config }

// New returns a Deployer.
func New(config Config) *Deployer {
	if config.Holder == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown-host"
		}
		config.Holder = fmt.Sprintf("%s (process %d)", host, os.Getpid())
	}
	config.LeaseWait = cmp.Or(config.LeaseWait, DefaultLeaseWait)
	config.Unschedulable = cmp.Or(config.Unschedulable, DefaultUnschedulable)
	config.Revert = cmp.Or(config.Revert, DefaultRevert)
	config.scaleDown = cmp.Or(config.scaleDown, DefaultScaleDownDelay)
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.reached == nil {
		config.reached = func(string) {}
	}
	return &Deployer{config}
}

// Request is one deployment to make. What and how are the settings of a deploy
// section; its Cluster is not looked at, for a Deployer has one.
type Request struct {
	pipeline.Deploy

	// Key names the deployment over restarts: the same key twice is the same
	// deployment, which is resumed, not made again. Empty means a new one.
	Key string
	// TakeUp goes on with the last revision when it was interrupted and holds
	// the same objects, whatever its key. Otherwise it is closed as failed.
	TakeUp    bool
	Root      string // directory of the source, below which the paths of the settings are
	Commit    string // of the source, in full; empty when there is none
	Execution string

	Ancestry Ancestry          `json:"-"` // nil: commits are not compared
	Log      io.Writer         `json:"-"` // the runbook, in whole lines
	Progress func(line string) `json:"-"` // one line, replaced often
}

// RollbackRequest asks for an earlier revision.
type RollbackRequest struct {
	Key       string
	App       string
	Namespace string
	To        int             // revision; 0 is the one before the present one
	Method    string          // default: as the present revision was written
	Timeout   string          // default: as for the present revision
	Verify    pipeline.Verify // default: as the present revision was verified
	Log       io.Writer
	Progress  func(line string)
}

var appName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$`)

// Deploy brings the manifests of a request to the cluster and returns the
// record of it. The record's outcome is Succeeded or Failed; an error means
// that the cluster could not be asked, or that ctx ended, and the same request
// with the same key goes on where this one stopped. When ctx ended before
// anything was got further, the error is a StalledError too.
func (d *Deployer) Deploy(ctx context.Context, request Request) (pipeline.Deployment, error) {
	r := d.toDeploy(request)
	return r.settle(ctx, r.deploy(ctx, request))
}

// ready makes the objects of a request, once the cluster has answered.
func (r *run) ready(ctx context.Context, request Request) ([]manifest.Object, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if problems := request.Problems(); len(problems) > 0 {
		return nil, refusal.New("%s", problems)
	}
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	return r.render(ctx, request)
}

func (r *run) deploy(ctx context.Context, request Request) error {
	objects, err := r.ready(ctx, request)
	if err != nil {
		return err
	}
	return r.underLease(ctx, "deploying", func(ctx context.Context) error {
		if objects, err = r.resolve(ctx, objects); err != nil {
			return err
		}
		return r.carryOut(ctx, objects, 0)
	})
}

// check looks at what can be wrong without asking anybody.
func (r *run) check() error {
	if !appName.MatchString(r.record.App) {
		return refusal.New("application name %q: it names the journal in the cluster and must consist of lower-case letters, digits and dashes, "+
			"at most 50, and start and end with a letter or digit. Set app in the deploy action", r.record.App)
	}
	return plan.Known(r.record.Strategy)
}

// settle makes the record of a deployment that has ended, or the error of one
// that has not.
func (r *run) settle(ctx context.Context, err error) (pipeline.Deployment, error) {
	if err == nil {
		return r.record, nil
	}
	if r.entry == nil {
		r.record.Revision = 0 // The journal has none of it: nothing was changed.
	}
	if !refusal.Is(err) {
		if ctx.Err() != nil {
			err = fmt.Errorf("deploy %s: %w", r.record.App, errors.Join(context.Cause(ctx), err, r.stalled()))
		}
		return r.record, err
	}
	r.record.Outcome, r.record.Message = pipeline.Failed, err.Error()
	r.record.Seconds = r.Now().Sub(r.record.Started).Seconds()
	r.log.Line("failed: %s", err)
	return r.record, nil
}
