package buildah

import (
	"context"
	"sync"
)

// turns lets many build at once, while what is kept is not removed. Its zero
// value is ready.
type turns struct {
	mu     sync.Mutex
	builds int
	ended  chan struct{} // closed when the removal ends, nil while there is none
}

// enter waits for the end of a removal, or of the context.
func (t *turns) enter(ctx context.Context) error {
	for {
		t.mu.Lock()
		ended := t.ended
		if ended == nil {
			t.builds++
		}
		t.mu.Unlock()
		if ended == nil {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave is called once after each enter that succeeded.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.builds--
}

// alone keeps others from entering until done is called. It reports false when
// somebody is there already.
func (t *turns) alone() (done func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.builds > 0 || t.ended != nil {
		return nil, false
	}
	ended := make(chan struct{})
	t.ended = ended
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.ended = nil
		close(ended)
	}, true
}
