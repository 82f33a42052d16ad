package builder

import (
	"context"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/queue"
)

// errand is what is done with a build that somebody waits for.
type errand struct {
	run func(ctx context.Context, b *project.Build) (pipeline.Result, error)
	// deliver hands on what it has made. It may be nil.
	deliver func(ctx context.Context, b *project.Build, result pipeline.Result) error
}

// lead waits for a build's turn, does with it what is to be done, keeps its end
// and returns what came of it to who waits. The cause of parent's end is
// returned, when it has ended before.
func (r *Builder) lead(parent context.Context, b project.Build, do errand) (pipeline.Result, error) {
	ctx, forget, ok := r.enlist(parent, b)
	if !ok {
		return pipeline.Result{}, pipeline.ErrShutdown
	}
	defer forget()
	turn := r.turn(b)
	defer turn.Leave()
	ctx, cancel := r.bounded(ctx, b)
	defer cancel()
	o, err := r.accompany(ctx, &b, turn, do)
	if err != nil && shutdown(ctx) {
		return pipeline.Result{}, pipeline.ErrShutdown
	}
	if !b.Done() {
		b.End(o.status, o.message, r.Now())
		if err := r.finish(ctx, &b); err != nil {
			return pipeline.Result{}, err
		}
	}
	switch {
	case parent.Err() != nil:
		return pipeline.Result{}, context.Cause(parent)
	case err != nil && o.status == project.Fault:
		return pipeline.Result{}, err
	case err != nil:
		return pipeline.Fail("%s", o.message), nil
	}
	return o.result, nil
}

// accompany waits for the build's turn and does with it what is to be done.
func (r *Builder) accompany(ctx context.Context, b *project.Build, turn *queue.Turn, do errand) (outcome, error) {
	// One that has begun before goes to its Runner also when it is to be stopped.
	if err := r.wait(ctx, b, turn); err != nil && b.Running.IsZero() {
		o := ended(err)
		if o.status == project.Fault {
			o = interrupted(ctx, err)
		}
		return o, err
	}
	if b.Running.IsZero() {
		b.Running = r.Now()
		b.Enter(project.PhaseProvisioning, b.Running)
		b.Enter(project.PhaseSource, b.Running)
		b.Enter(project.PhaseBuild, r.Now())
		if err := r.save(ctx, *b); err != nil {
			return ended(err), err
		}
	}
	result, err := do.run(ctx, b)
	if err != nil {
		return interrupted(ctx, err), err
	}
	if b.Done() {
		return outcome{result: result}, nil // the server died before the engine knew
	}
	o := judged(b.Judge(result, r.Now()), result)
	if o.status != project.Succeeded {
		return o, nil
	}
	b.Enter(project.PhaseUpload, r.Now())
	if do.deliver != nil {
		if err := do.deliver(ctx, b, result); err != nil {
			return interrupted(ctx, err), err
		}
	}
	b.Enter(project.PhaseFinalizing, r.Now())
	return o, nil
}
