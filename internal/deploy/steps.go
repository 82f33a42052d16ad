package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/deploy/invariant"
	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/kube"
)

// staleLimit is how often an object may change between a read and a write
// before the write is given up.
const staleLimit = 20

// walk carries steps out in their order, those of one wave at the same time,
// and notes each wave in the journal. The first step that says no ends it.
func (r *run) walk(ctx context.Context, steps []plan.Step) error {
	generations := &generations{of: map[string]int64{}}
	for i := 0; i < len(steps); {
		if ctx.Err() != nil { // Steps with nothing to do would not notice.
			return context.Cause(ctx)
		}
		end := i + 1
		for end < len(steps) && steps[end].Verb == steps[i].Verb && steps[end].Wave == steps[i].Wave && steps[i].Wave > 0 {
			end++
		}
		if steps[i].Verb == plan.VerbPrune {
			// What is deleted carries no later revision when that has found it
			// as it should be. The journal knows whether there is one.
			if err := r.save(ctx); err != nil {
				return err
			}
		}
		if r.probe != nil && r.entry.Phase != journal.Reverting {
			r.probe.Renew(ctx)
		}
		r.doing = undivided(steps[i])
		done, err := r.wave(ctx, steps, i, end, generations)
		r.entry.Note(done...) // also of a wave of which another step has failed
		if err != nil {
			return err
		}
		if len(done) > 0 {
			if err := r.save(ctx); err != nil {
				return err
			}
		}
		r.reached(fmt.Sprintf("%s %s %s", r.entry.Phase, steps[end-1].Verb, steps[end-1].Ref))
		i = end
	}
	return nil
}

// generations remember what the applies have brought, so that a wait does not
// take an older state of an object for its answer.
type generations struct {
	mu sync.Mutex
	of map[string]int64
}

func (g *generations) set(ref kube.Ref, generation int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of[ref.ID()] = generation
}

func (g *generations) get(ref kube.Ref) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of[ref.ID()]
}

// wave carries steps[i:end] out at the same time.
func (r *run) wave(ctx context.Context, steps []plan.Step, i, end int, g *generations) ([]journal.DoneStep, error) {
	done := make([]journal.DoneStep, end-i)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(kube.Parallel)
	for n := i; n < end; n++ {
		group.Go(func() (err error) {
			done[n-i], err = r.step(ctx, steps[n], fmt.Sprintf("step %d of %d", n+1, len(steps)), g)
			return err
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(done, func(d journal.DoneStep) bool { return d.Verb == "" }), err
}

// step carries one step out. What it leaves in the cluster is returned; the
// zero doneStep means that it leaves nothing.
func (r *run) step(ctx context.Context, s plan.Step, place string, g *generations) (journal.DoneStep, error) {
	begin := time.Now()
	if long(s.Verb) {
		r.log.Line("%s   %s", place, s)
	}
	done, err := r.do(ctx, s, g)
	if err != nil || done.Verb == "" {
		return journal.DoneStep{}, err
	}
	text := s.String()
	if long(s.Verb) { // Its beginning was logged in full.
		text = s.Short()
	}
	r.log.Line("%s   %s: done in %s", place, text, time.Since(begin).Round(time.Millisecond))
	return done, nil
}

// do is what each verb means.
func (r *run) do(ctx context.Context, s plan.Step, g *generations) (journal.DoneStep, error) {
	done := journal.DoneStep{Verb: s.Verb, Ref: s.Ref, Reverting: r.entry.Phase == journal.Reverting}
	switch s.Verb {
	case plan.VerbApply:
		applied, err := r.apply(ctx, s)
		if err != nil {
			return done, err
		}
		g.set(s.Ref, applied.GetGeneration())
		done.UID, done.ResourceVersion = string(applied.GetUID()), applied.GetResourceVersion()
		return done, nil
	case plan.VerbWait:
		return done, r.waiter().Wait(ctx, s.Ref, g.get(s.Ref))
	case plan.VerbPrune:
		done.UID = s.UID
		return done, r.prune(ctx, s)
	case plan.VerbRun:
		return done, r.hook(ctx, s)
	case plan.VerbServe:
		return done, r.serve(ctx, s)
	case plan.VerbMatch:
		return done, r.match(ctx, s)
	case plan.VerbSwitch:
		return done, r.turn(ctx, s)
	case plan.VerbDrain:
		return done, r.drain(ctx, s)
	case plan.VerbRehearse:
		return done, r.rehearseDrain(ctx, s)
	case plan.VerbCheck:
		return done, r.question(ctx, s)
	case plan.VerbApprove:
		return done, r.approve(ctx, s.Time)
	case plan.VerbAnalyse, plan.VerbKeep:
		return done, r.passOn(ctx, s, string(s.Verb), "")
	case plan.VerbProbe:
		return journal.DoneStep{}, r.probe.Begin(ctx)
	case plan.VerbVerdict:
		return journal.DoneStep{}, r.conclude(ctx)
	}
	return done, fmt.Errorf("carry out step %q: no such verb", s.Verb)
}

// prune deletes an object that the manifests have no more. Another one that has
// its name by now is somebody else's and stays.
func (r *run) prune(ctx context.Context, s plan.Step) error {
	if s.UID == "" {
		return nil
	}
	err := r.method.Delete(ctx, s.Ref, types.UID(s.UID))
	if kube.IsStale(err) {
		r.log.Line("        %s is another one by now: it stays", s.Ref)
		return nil
	}
	return refusal.Or(err, "the API server refuses %v", err)
}

// long tells whether a step may take so long that its beginning is worth a line
// of its own.
func long(v plan.Verb) bool {
	switch v {
	case plan.VerbApply, plan.VerbPrune, plan.VerbSwitch, plan.VerbProbe, plan.VerbVerdict:
		return false
	}
	return true
}

// overtaken refuses to write an object that a later revision has written.
func (r *run) overtaken(ref kube.Ref, live *unstructured.Unstructured) error {
	return &invariant.Breach{Invariant: "I4", Overtaken: true, Text: fmt.Sprintf("%s carries revision %d, later than this deployment's %d: a newer deployment has been here, this one stops",
		ref, plan.SequenceOf(live), r.record.Revision)}
}

// waiter waits for workloads on behalf of this run.
func (r *run) waiter() *rollout.Waiter {
	return &rollout.Waiter{Cluster: r.Cluster, Log: r.log, Unschedulable: r.Unschedulable, Reverting: r.entry.Phase == journal.Reverting}
}

// apply sends one object. One that would not change is left alone.
func (r *run) apply(ctx context.Context, s plan.Step) (*unstructured.Unstructured, error) {
	if s.Change == plan.Unchanged && (!plan.Fenced(s.Ref) || r.settled(s.Live)) {
		return s.Live, nil
	}
	if plan.Fenced(s.Ref) {
		return r.applyFenced(ctx, s)
	}
	applied, err := r.method.Apply(ctx, s.Object, kube.ApplyOptions{Force: s.Force, Brief: true})
	if err != nil {
		return nil, refusal.Or(err, "the API server refuses %v", err)
	}
	return applied, nil
}

// settled tells whether an object may keep the sequence that it carries though
// a new revision is made: nobody who wrote that sequence, or a later one, is
// still under way with something else in mind.
func (r *run) settled(live *unstructured.Unstructured) bool {
	settled := r.journal.Settled(r.record.Revision)
	if r.entry.Takes > 1 { // The process before may only have been paused.
		settled = r.record.Revision
	}
	return plan.SequenceOf(live) >= settled
}

// applyFenced sends an object that carries the sequence. It goes with the
// resourceVersion of the very read that showed no later one, so that nobody
// comes in between: a writer that was away for a while cannot overwrite what a
// newer deployment has written. The first such read is the plan's own.
func (r *run) applyFenced(ctx context.Context, s plan.Step) (*unstructured.Unstructured, error) {
	if s.Mark != "" {
		r.mark(s.Mark)
	}
	for attempt := 0; ; attempt++ {
		object, live := s.Object.DeepCopy(), s.Live
		if attempt > 0 {
			var err error
			if live, err = r.Cluster.Get(ctx, s.Ref); err != nil && !kube.IsNotFound(err) {
				return nil, err
			}
		}
		switch {
		case live == nil:
			object.SetResourceVersion(kube.Absent)
		case plan.SequenceOf(live) > r.record.Revision:
			return nil, r.overtaken(s.Ref, live)
		default:
			object.SetResourceVersion(live.GetResourceVersion())
			object.SetUID(live.GetUID()) // or an apply would make anew what was deleted meanwhile
		}
		// A rolling update changes the selector of a Service in place.
		if selector := plan.SelectorOf(object); !maps.Equal(selector, plan.SelectorOf(live)) {
			if err := r.expect(s.Ref, selector); err != nil {
				return nil, err
			}
		}
		applied, err := r.method.Apply(ctx, object, kube.ApplyOptions{Force: s.Force, Brief: true})
		if kube.IsStale(err) && attempt < staleLimit {
			continue // Its controller has written its status since the read, or somebody has made it.
		}
		if err != nil {
			return nil, refusal.Or(err, "the API server refuses %v", err)
		}
		return applied, nil
	}
}
