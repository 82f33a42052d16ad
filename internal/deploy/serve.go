package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/pipeline"
)

// serve waits until a Service's endpoints are as the plan has them, and then
// for the time that every node and load balancer may take to know.
func (r *run) serve(ctx context.Context, s plan.Step) error {
	version, err := r.waiter().WaitServing(ctx, rollout.Serving{Namespace: s.Ref.Namespace, Service: s.Ref.Name, Selector: s.Selector, Only: s.Only})
	if err != nil {
		return err
	}
	if s.Only {
		r.mark("verified " + s.Ref.String())
	}
	return r.passOn(ctx, s, "propagation", version)
}

// passOn lets the time of a step pass that an earlier process of this deployment
// may have begun to wait. What it has waited counts as long as the state is the
// one that it waited in; a time in which nobody looked does not.
func (r *run) passOn(ctx context.Context, s plan.Step, what, state string) error {
	if s.Time <= 0 {
		return nil
	}
	step := s.Short()
	if s.Verb != plan.VerbServe { // A plan waits for more than one thing in the same words.
		step += ": " + s.Text
	}
	before := min(r.entry.PassedOf(step, state), s.Time)
	if before > 0 {
		r.log.Line("        %s of %s have passed before", before.Round(time.Millisecond), s.Time)
	}
	begin := time.Now()
	err := r.pass(ctx, s.Time-before, what)
	r.entry.NotePassed(step, state, min(before+time.Since(begin), s.Time))
	if err != nil && errors.Is(context.Cause(ctx), pipeline.ErrShutdown) {
		// The lease is still held, and whoever takes the deployment up goes on here.
		return errors.Join(err, r.save(ctx))
	}
	return err
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
