// Package rounds makes rounds: it asks again and again what is due, and does
// each thing of it beside the others, so that one which hangs holds up no other.
// Mirrors, watched sources, commit statuses and the messages of webhooks are
// taken up by it. It must not know what is due, nor when it is due next: those
// who have it done keep that.
package rounds

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Config is what New needs.
type Config struct {
	// What is done, for the log: "look at mirrors".
	What string
	// Due lists the keys of what is to be done now, those first that wait
	// longest. It is called at each round, never twice at once.
	Due func(ctx context.Context) ([]string, error)
	// Do does one of them, and tells its own errors. What is still due when it
	// returns is done again at the next round. Of one key there is one call at a
	// time.
	Do func(ctx context.Context, key string)
	// Every is the time from one round to the next.
	Every time.Duration
	// Parallel is how many calls of Do there are at a time.
	Parallel int
	Logger   *slog.Logger
}

// Rounds does what is due.
type Rounds struct {
	cfg  Config
	wake chan struct{}

	mu   sync.Mutex
	busy map[string]bool
	left bool // something that is due was left because of what is busy
}

// New returns Rounds that have not begun.
func New(cfg Config) *Rounds {
	return &Rounds{cfg: cfg, wake: make(chan struct{}, 1), busy: map[string]bool{}}
}

// Wake makes the next round begin now: call it when something has become due. It
// does not wait.
func (r *Rounds) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Walk makes rounds until the context ends, and returns when what it has begun
// has ended. It is called once.
func (r *Rounds) Walk(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	ticker := time.NewTicker(r.cfg.Every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		due, err := r.cfg.Due(ctx)
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.Error(r.cfg.What, "error", err)
		}
		for _, key := range due {
			if r.begin(key) {
				work.Go(func() {
					defer r.end(key)
					r.cfg.Do(ctx, key)
				})
			}
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-r.wake:
		}
	}
}

// begin says whether something may begin now. What may not is still due when
// something else ends.
func (r *Rounds) begin(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[key] || len(r.busy) == r.cfg.Parallel {
		r.left = true
		return false
	}
	r.busy[key] = true
	return true
}

// end makes room. Only when something was left is there reason to hurry: what
// could not be done, and is still due, would else be tried without a pause.
func (r *Rounds) end(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, key)
	if r.left {
		r.left = false
		r.Wake()
	}
}
