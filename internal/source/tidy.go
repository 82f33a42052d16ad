package source

import (
	"context"
	"errors"
	"io"
	"time"
)

// tidySoon repacks a repository in the background if git finds that it needs
// it. Pushes and fetches go on meanwhile. It does nothing outside Start and
// Stop, and one repository at a time: repacking is work for a quiet machine.
func (r *Repositories) tidySoon(name string) {
	l := &r.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server == nil || l.busy[name] {
		return
	}
	l.busy[name] = true
	ctx := l.tidying
	l.work.Go(func() {
		l.tidy.Lock()
		defer l.tidy.Unlock()
		// A push from here on asks again: this run may not see its objects.
		l.mu.Lock()
		delete(l.busy, name)
		l.mu.Unlock()
		if ctx.Err() != nil || !r.Exists(name) {
			return
		}
		err := r.run(ctx, command{name: name, args: []string{"gc", "--auto", "--quiet"}, stdout: io.Discard, timeout: time.Hour})
		if err != nil && !errors.Is(err, context.Cause(ctx)) && r.Exists(name) {
			r.log.Warn("repository not repacked; it works, but grows slower", "repository", name, "error", err)
		}
	})
}
