package builder

import (
	"context"
	"os"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/queue"
)

// attend waits for a build's turn and carries it out. When the server stops
// meanwhile the build stays as it is, to be taken up again.
func (r *Builder) attend(ctx context.Context, b project.Build, turn *queue.Turn) {
	ctx, cancel := r.bounded(ctx, b)
	defer cancel()
	var o outcome
	err := r.wait(ctx, &b, turn)
	switch {
	case b.Running.IsZero() && r.closing():
		return // Also when it is its turn now, because others have let go.
	case b.Running.IsZero() && err != nil:
		o = ended(err)
	default: // One that has begun before goes to its Runner also to be stopped.
		o = r.perform(ctx, &b)
	}
	if shutdown(ctx) && o.status != project.Succeeded {
		return
	}
	b.End(o.status, o.message, r.Now())
	if err := r.finish(ctx, &b); err != nil {
		// It is taken up again at the next start, and ends then.
		r.Logger.Error("keep the end of a build", "build", b.ID, "error", err)
		return
	}
	if err := os.RemoveAll(r.workDir(b)); err != nil {
		r.Logger.Warn("remove the directory of a build", "build", b.ID, "error", err)
	}
}

// wait returns when it is the build's turn. One that has begun before waits as
// long as it takes.
func (r *Builder) wait(ctx context.Context, b *project.Build, turn *queue.Turn) error {
	if b.Running.IsZero() {
		// While no server ran nothing could end to make room for it.
		from := b.Started
		if from.Before(r.began) {
			from = r.began
		}
		left := from.Add(b.Definition.Waits()).Sub(r.Now())
		limited, cancel := context.WithTimeoutCause(ctx, left, errQueued)
		defer cancel()
		ctx = limited
	}
	return turn.Wait(ctx)
}

// bounded ends a batch when its time is up. Other builds have their own bounds.
func (r *Builder) bounded(ctx context.Context, b project.Build) (context.Context, context.CancelFunc) {
	if b.Batch == nil {
		return context.WithCancel(ctx)
	}
	left := b.Started.Add(b.Definition.Batch.Lasts()).Sub(r.Now())
	return context.WithTimeoutCause(ctx, left, errBatchTime)
}
