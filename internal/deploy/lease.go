package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/towline/towline/internal/kube"
)

// The timing of the lease. Somebody else may take one that was not renewed for
// leaseDuration. The holder does not give up as early: while it cannot renew,
// the API server is away and it cannot write anything else either, and the
// first renewal that gets through tells whether somebody has come in between.
// What it writes until then is refused by the journal and the sequence.
const (
	leaseDuration = 30 * time.Second
	leaseRenew    = 5 * time.Second
	leaseAttempt  = 8 * time.Second
	leaseGiveUp   = 5 * time.Minute
	releaseWait   = 5 * time.Second
)

func leaseName(app string) string { return "towline-" + app }

// hold takes the application's lease and keeps it until release is called. The
// context it returns ends when the lease is lost. A lease that somebody else
// holds is waited for, and is an error after Config.LeaseWait.
func (r *run) hold(ctx context.Context, note string) (held context.Context, release func(), err error) {
	namespace := r.record.Namespace
	path := "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases/" + leaseName(r.record.App)
	claim := kube.LeaseClaim{
		Namespace: namespace, Name: leaseName(r.record.App), Holder: r.Holder + " " + r.nonce, Key: r.key, Duration: leaseDuration,
		Note: note + " " + r.record.App, Labels: map[string]string{appLabel: r.record.App, "applyset.kubernetes.io/id": setID(r.record.App, namespace)},
		Annotations: map[string]string{"applyset.kubernetes.io/tooling": "towline/v1"},
	}
	r.log.line("lease   %s   PUT %s", claim.Name, path)
	lease, err := r.acquire(ctx, claim)
	if err != nil {
		return nil, nil, err
	}
	held, lose := context.WithCancelCause(ctx)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		r.keep(held, lease, stop, lose)
	}()
	return held, func() {
		close(stop)
		<-stopped
		lose(nil)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
		defer cancel()
		if err := lease.Release(ctx); err != nil {
			r.log.line("lease   not given back, it ends by itself in %s: %s", leaseDuration, err)
		}
	}, nil
}

// acquire asks for the lease until it is free. Another holder's lease counts
// as free when it has not changed for its whole duration by this clock.
func (r *run) acquire(ctx context.Context, claim kube.LeaseClaim) (*kube.Lease, error) {
	begin := time.Now()
	expired, seen, since := "", "", begin
	for {
		lease, err := r.Cluster.AcquireLease(ctx, claim, expired)
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
			if time.Since(begin) > r.LeaseWait {
				return nil, fmt.Errorf("deploy %s to namespace %s: its lease is %w. Wait until that deployment has ended and try again", claim.Name, claim.Namespace, held)
			}
			r.log.report("waiting for the lease", held.Error())
		case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err): // Somebody else was faster: look again.
		case !kube.Transient(err) || time.Since(begin) > r.LeaseWait:
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
func (r *run) keep(ctx context.Context, lease *kube.Lease, stop <-chan struct{}, lose func(error)) {
	ticker := time.NewTicker(leaseRenew)
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
			lose(fmt.Errorf("the lease of %s is %w: this process has lost it and leaves the cluster alone", r.record.App, held))
			return
		case time.Since(renewed) > leaseGiveUp:
			lose(fmt.Errorf("the lease of %s could not be renewed for %s: %w", r.record.App, leaseGiveUp, err))
			return
		}
	}
}
