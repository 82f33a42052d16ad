package builder

import (
	"context"

	"github.com/towline/towline/internal/project"
)

// Stop ends a build, wherever it stands, and returns it as it is when that has
// begun. One that has ended is returned as it is. The error is a
// *project.Error of the kind ErrNotFound when there is no such build.
func (r *Builder) Stop(ctx context.Context, id string) (b project.Build, err error) {
	// The record says it first: a build that is being taken up after a crash is
	// then stopped too.
	err = r.change(ctx, id, func(kept *project.Build) bool {
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
