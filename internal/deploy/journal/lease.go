package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
)

// The timing of the lease. Somebody else may take one that was not renewed for
// its duration, within which its holder tries renewals times. The holder does not give up as early: while it cannot renew,
// the API server is away and it cannot write anything else either, and the
// first renewal that gets through tells whether somebody has come in between.
// Until then the sequence refuses what it writes to workloads, Services and
// routes, and the journal what it would scale down or prune. Other objects, as
// ConfigMaps, have no such guard.
const (
	leaseDuration = 30 * time.Second
	renewals      = 6
	leaseAttempt  = 8 * time.Second
	leaseGiveUp   = 5 * time.Minute
	releaseWait   = 5 * time.Second
)

// Claim is who asks for an application's lease, and why.
type Claim struct {
	Cluster   *kube.Cluster
	Log       *runbook.Runbook
	App       string
	Namespace string
	Holder    string        // names the process and the run
	Key       string        // of the deployment: the same key may take its own lease over
	Note      string        // what it is for, such as "deploying"
	Wait      time.Duration // for another deployment of the same application to end
	Duration  time.Duration // of the lease when nobody renews it; zero means 30 s
}

// Hold takes the application's lease and keeps it until release is called. The
// context it returns ends when the lease is lost. A lease that somebody else
// holds is waited for, and is an error after Claim.Wait.
func Hold(ctx context.Context, c Claim) (held context.Context, release func(), err error) {
	name := plan.LeaseName(c.App)
	c.Duration = cmp.Or(c.Duration, leaseDuration)
	claim := kube.LeaseClaim{
		Namespace: c.Namespace, Name: name, Holder: c.Holder, Key: c.Key, Duration: c.Duration,
		Note: c.Note + " " + c.App, Labels: map[string]string{plan.AppLabel: c.App, "applyset.kubernetes.io/id": plan.ApplySetID(c.App, c.Namespace)},
		Annotations: map[string]string{"applyset.kubernetes.io/tooling": "towline/v1"},
	}
	c.Log.Line("lease   %s   PUT /apis/coordination.k8s.io/v1/namespaces/%s/leases/%s", name, c.Namespace, name)
	lease, err := c.acquire(ctx, claim)
	if err != nil {
		return nil, nil, err
	}
	held, lose := context.WithCancelCause(ctx)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		c.keep(held, lease, stop, lose)
	}()
	return held, func() {
		close(stop)
		<-stopped
		lose(nil)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
		defer cancel()
		if err := c.giveBack(ctx, lease); err != nil {
			c.Log.Line("lease   not given back, it ends by itself in %s: %s", c.Duration, err)
		}
	}, nil
}

// giveBack frees the lease. The lease of an application without a revision
// would be all that is left of a first deployment that was refused, so it is
// deleted: only its holder adds revisions, and a lease that has found another
// holder by then stays. Whoever may not delete leases leaves it there.
func (c Claim) giveBack(ctx context.Context, lease *kube.Lease) error {
	kept, err := c.Cluster.SecretsMetadata(ctx, kube.SecretQuery{
		Namespace: c.Namespace, Selector: plan.AppLabel + "=" + c.App + "," + plan.SequenceLabel, Type: Type, Most: 1,
	})
	if err == nil && len(kept) == 0 && lease.Delete(ctx) == nil {
		return nil
	}
	return lease.Release(ctx)
}

// acquire asks for the lease until it is free. Another holder's lease counts
// as free when it has not changed for its whole duration by this clock.
func (c Claim) acquire(ctx context.Context, claim kube.LeaseClaim) (*kube.Lease, error) {
	begin := time.Now()
	expired, seen, since := "", "", begin
	for {
		lease, err := c.Cluster.AcquireLease(ctx, claim, expired)
		if err == nil {
			return lease, nil
		}
		var held *kube.HeldError
		switch {
		case errors.As(err, &held):
			if held.Renewed != seen {
				seen, since = held.Renewed, time.Now()
			}
			if time.Since(since) > held.Duration {
				expired = held.Renewed
			}
			if time.Since(begin) > c.Wait {
				return nil, fmt.Errorf("deploy %s to namespace %s: its lease is %w. Wait until that deployment has ended and try again", claim.Name, claim.Namespace, held)
			}
			c.Log.Report("waiting for the lease", held.Error())
		case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err): // Somebody else was faster: look again.
		case !kube.Transient(err) || time.Since(begin) > c.Wait:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lease %s: %w", claim.Name, context.Cause(ctx))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// keep renews the lease until stop is closed, and calls lose when it is lost.
func (c Claim) keep(ctx context.Context, lease *kube.Lease, stop <-chan struct{}, lose func(error)) {
	ticker := time.NewTicker(c.Duration / renewals)
	defer ticker.Stop()
	renewed := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		attempt, cancel := context.WithTimeout(ctx, leaseAttempt)
		err := lease.Renew(attempt)
		cancel()
		var held *kube.HeldError
		switch {
		case err == nil:
			renewed = time.Now()
		case errors.As(err, &held):
			lose(fmt.Errorf("the lease of %s is %w: this process has lost it and leaves the cluster alone", c.App, held))
			return
		case time.Since(renewed) > leaseGiveUp:
			lose(fmt.Errorf("the lease of %s could not be renewed for %s: %w", c.App, leaseGiveUp, err))
			return
		}
	}
}
