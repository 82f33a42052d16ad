package source

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Watched is a source that tells nobody when it changes: an object, a tag of an
// image. It is looked at now and then.
type Watched struct {
	Key      string        // tells it from all others, and stays the same
	Interval time.Duration // between two looks; at least MinInterval
	// Newest is the version that the source has now: ObjectAction.Newest,
	// ImageAction.Newest.
	Newest func(ctx context.Context) (version string, err error)
}

// WatchConfig is what NewWatcher needs.
type WatchConfig struct {
	// Sources lists what is to be watched. It is called each round, so that a
	// source is watched as soon as a pipeline has it, and no longer.
	Sources func(ctx context.Context) ([]Watched, error)
	// Found is told the newest version after each look, also when it is the
	// same as before: who keeps the version that was acted on last, over
	// restarts, compares. An error has it told again soon. For one source one
	// call is made at a time.
	Found func(ctx context.Context, key, version string) error
	// Every is how often the sources are listed. Default 5 s.
	Every time.Duration
	// Parallel is how many looks there are at a time. Default 4.
	Parallel int
	// Random is between 0 and 1 and spreads the looks. Default rand.Float64.
	Random func() float64
	Now    func() time.Time // default time.Now
	Logger *slog.Logger
}

// Watcher looks at sources that nobody tells of. When the next look at each is
// due it keeps in memory alone: after a restart all are looked at within half
// a minute, spread over it.
type Watcher struct {
	cfg  WatchConfig
	wake chan struct{}

	mu      sync.Mutex
	watches map[string]*watch
	busy    int
}

type watch struct {
	next     time.Time
	failures int
	busy     bool
}

// NewWatcher returns a Watcher that has not begun.
func NewWatcher(cfg WatchConfig) *Watcher {
	cfg.Every = cmp.Or(cfg.Every, 5*time.Second)
	cfg.Parallel = cmp.Or(cfg.Parallel, 4)
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, wake: make(chan struct{}, 1), watches: map[string]*watch{}}
}

// Watch looks until the context ends, and returns when its looks have ended.
func (w *Watcher) Watch(ctx context.Context) {
	var looks sync.WaitGroup
	defer looks.Wait()
	ticker := time.NewTicker(w.cfg.Every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		sources, err := w.cfg.Sources(ctx)
		if err != nil && ctx.Err() == nil {
			w.cfg.Logger.Error("list sources to watch", "error", err)
		}
		if err == nil {
			w.forget(sources)
		}
		for _, s := range sources {
			if w.begin(s) {
				looks.Go(func() { w.look(ctx, s) })
			}
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-w.wake:
		}
	}
}

// forget drops what is watched no longer.
func (w *Watcher) forget(sources []Watched) {
	keep := map[string]bool{}
	for _, s := range sources {
		keep[s.Key] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, one := range w.watches {
		if !keep[key] && !one.busy {
			delete(w.watches, key)
		}
	}
}

// begin says whether a look at the source is due and may begin now.
func (w *Watcher) begin(s Watched) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.watches[s.Key]
	if one == nil {
		soon := min(max(s.Interval, MinInterval), firstBackoff)
		one = &watch{next: w.cfg.Now().Add(time.Duration(float64(soon) * w.cfg.Random()))}
		w.watches[s.Key] = one
	}
	if one.busy || w.busy == w.cfg.Parallel || one.next.After(w.cfg.Now()) {
		return false
	}
	one.busy = true
	w.busy++
	return true
}

func (w *Watcher) look(ctx context.Context, s Watched) {
	version, err := s.Newest(ctx)
	if err == nil {
		err = w.cfg.Found(ctx, s.Key, version)
	}
	if err != nil && ctx.Err() == nil {
		w.cfg.Logger.Warn("source not looked at", "source", s.Key, "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.watches[s.Key]
	one.busy = false
	w.busy--
	if one.failures++; err == nil {
		one.failures = 0
	}
	wait := pause(max(s.Interval, MinInterval), one.failures, errors.Is(err, ErrDenied) || errors.Is(err, ErrNotFound))
	one.next = w.cfg.Now().Add(time.Duration(float64(wait) * (0.9 + 0.2*w.cfg.Random())))
	select {
	case w.wake <- struct{}{}: // another one may have waited for this one's place
	default:
	}
}
