package source

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/towline/towline/internal/rounds"
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
	cfg    WatchConfig
	rounds *rounds.Rounds

	mu      sync.Mutex
	watches map[string]*watch
}

type watch struct {
	Watched
	next     time.Time
	failures int
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
	w := &Watcher{cfg: cfg, watches: map[string]*watch{}}
	w.rounds = rounds.New(rounds.Config{
		What: "watch sources", Every: cfg.Every, Parallel: cfg.Parallel, Logger: cfg.Logger, Due: w.due, Do: w.look,
	})
	return w
}

// Watch looks until the context ends, and returns when its looks have ended.
func (w *Watcher) Watch(ctx context.Context) { w.rounds.Walk(ctx) }

// due lists the sources that are to be looked at, and forgets those that are
// watched no longer.
func (w *Watcher) due(ctx context.Context) ([]string, error) {
	sources, err := w.cfg.Sources(ctx)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.watches
	w.watches = map[string]*watch{}
	var due []string
	for _, s := range sources {
		one := before[s.Key]
		if one == nil {
			soon := min(max(s.Interval, MinInterval), firstBackoff)
			one = &watch{next: w.cfg.Now().Add(time.Duration(float64(soon) * w.cfg.Random()))}
		}
		one.Watched = s
		w.watches[s.Key] = one
		if !one.next.After(w.cfg.Now()) {
			due = append(due, s.Key)
		}
	}
	return due, nil
}

// listed is what is known of a source, if it is still watched.
func (w *Watcher) listed(key string) (watch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.watches[key]; one != nil {
		return *one, true
	}
	return watch{}, false
}

func (w *Watcher) look(ctx context.Context, key string) {
	s, ok := w.listed(key)
	if !ok {
		return
	}
	version, err := s.Newest(ctx)
	if err == nil {
		err = w.cfg.Found(ctx, key, version)
	}
	if err != nil && ctx.Err() == nil {
		w.cfg.Logger.Warn("source not looked at", "source", key, "error", err)
	}
	if s.failures++; err == nil {
		s.failures = 0
	}
	wait := pause(max(s.Interval, MinInterval), s.failures, errors.Is(err, ErrDenied) || errors.Is(err, ErrNotFound))
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.watches[key]; one != nil {
		one.failures = s.failures
		one.next = w.cfg.Now().Add(time.Duration(float64(wait) * (0.9 + 0.2*w.cfg.Random())))
	}
}
