package project

import (
	"context"

	"github.com/towline/towline/internal/store"
)

// Stop ends a build, wherever it stands, and returns it as it is when that has
// begun. One that has ended is returned as it is. The error is an *Error of the
// kind ErrNotFound when there is no such build.
func (r *Builder) Stop(ctx context.Context, id string) (b Build, err error) {
	// The record says it first: a build that is being taken up after a crash is
	// then stopped too.
	err = r.change(ctx, id, func(kept *Build) bool {
		b = *kept
		if b.Done() {
			return false
		}
		kept.Stopping = true
		b = *kept
		return true
	})
	if err != nil || b.Done() {
		return b, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h, ok := r.running[id]; ok {
		h.cancel(errStopped)
	}
	return b, nil
}

// change changes the record of a build, when the function says so.
func (r *Builder) change(ctx context.Context, id string, change func(*Build) bool) error {
	err := r.Store.Update(ctx, func(q store.Querier) error {
		b, err := load(ctx, q, id)
		if err != nil || !change(&b) {
			return err
		}
		return keep(ctx, q, b)
	})
	return noBuild(id, err)
}
