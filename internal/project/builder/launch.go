package builder

import (
	"context"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/queue"
)

// handle ends a build. It tells one run of a batch from the next, which has its
// id and may begin before the last one has let go.
type handle struct{ cancel context.CancelCauseFunc }

// launch has a build wait for its turn and run, without waiting for it.
func (r *Builder) launch(b project.Build) {
	ctx, forget, ok := r.enlist(context.Background(), b)
	if !ok {
		return // it is taken up at the next start
	}
	turn := r.turn(b)
	r.work.Go(func() {
		defer forget()
		defer turn.Leave()
		r.attend(ctx, b, turn)
	})
}

// enlist makes a build known as one that can be stopped, until forget is called.
// It is not ok when the server stops.
func (r *Builder) enlist(parent context.Context, b project.Build) (ctx context.Context, forget func(), ok bool) {
	ctx, cancel := context.WithCancelCause(parent)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		cancel(pipeline.ErrShutdown)
		return ctx, func() {}, false
	}
	if b.Stopping {
		cancel(errStopped)
	}
	own := &handle{cancel}
	r.running[b.ID] = own
	return ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.running[b.ID] == own {
			delete(r.running, b.ID)
		}
		cancel(nil)
	}, true
}

// turn is a build's place in the queue. A batch takes none: its builds do.
func (r *Builder) turn(b project.Build) *queue.Turn {
	if b.Batch != nil {
		return r.Queue.Pass()
	}
	return r.Queue.Join(queue.Place{Project: b.Project, Limit: b.Definition.Limit, Host: r.Compute == pipeline.ComputeHost})
}
