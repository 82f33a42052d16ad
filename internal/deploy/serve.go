package deploy

import (
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rollout"
)

// serve waits until a Service's endpoints are as the plan has them, and then
// for the time that every node and load balancer may take to know.
func (r *run) serve(ctx context.Context, s plan.Step) error {
	err := r.waiter().WaitServing(ctx, rollout.Serving{Namespace: s.Ref.Namespace, Service: s.Ref.Name, Selector: s.Selector, Only: s.Only})
	if err != nil {
		return err
	}
	if s.Only {
		r.mark("verified " + s.Ref.String())
	}
	return r.pass(ctx, s.Time, "propagation")
}

// pass lets a time pass that the user has asked for, or that others need. It
// does not count against the timeout of the rollout.
func (r *run) pass(ctx context.Context, d time.Duration, what string) error {
	if d <= 0 {
		return nil
	}
	defer r.limit.pause()()
	timer := time.NewTimer(d)
	defer timer.Stop()
	r.log.Report(what, d.String())
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		if cause := context.Cause(ctx); refusal.Is(cause) {
			return cause
		}
		return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
	}
}
