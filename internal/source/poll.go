package source

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/towline/towline/internal/rounds"
)

// How often a mirror's remote is looked at when nothing tells of a change.
const (
	DefaultInterval = 5 * time.Minute
	MinInterval     = 15 * time.Second
	// maxBackoff is the longest pause before a remote that failed is tried
	// again, unless its interval is longer.
	maxBackoff = time.Hour
	// firstBackoff is the pause after the first failure: most are over soon.
	firstBackoff = 30 * time.Second
)

// ScheduledMirror is a mirror and when it is looked at.
type ScheduledMirror struct {
	Mirror
	Interval time.Duration // between two looks; at least MinInterval
	Failures int           // looks that have failed since the last one that did not
}

// MirrorStore keeps the mirrors and when the next look at each is due, so that
// a restart neither forgets nor hurries one. Its calls may overlap.
type MirrorStore interface {
	// DueMirrors returns the names of the mirrors whose next look is due, those
	// that wait longest first.
	DueMirrors(ctx context.Context, now time.Time) ([]string, error)
	// LoadMirror returns one mirror with its credentials.
	LoadMirror(ctx context.Context, name string) (ScheduledMirror, error)
	// MirrorLooked keeps what came of a look. When somebody has asked for a
	// look since it was started, the next one is due at once instead.
	MirrorLooked(ctx context.Context, name string, look Look) error
}

// Look is what came of a look at a mirror's remote.
type Look struct {
	Started  time.Time
	Next     time.Time // when the next one is due
	Failures int       // in a row, this one included
	Error    string    // in words for the user; empty when it went well
}

// PollConfig is what NewPoller needs.
type PollConfig struct {
	// Update fetches a mirror: Repositories.UpdateMirror.
	Update  func(ctx context.Context, m Mirror) (Push, error)
	Mirrors MirrorStore
	// Moved takes up what a look has found, as Answer takes up a push. For one
	// mirror one call is made at a time.
	Moved func(ctx context.Context, push Push)
	// Every is how often it is asked which mirrors are due. Default 5 s.
	Every time.Duration
	// Parallel is how many mirrors are fetched at the same time. Default 4.
	Parallel int
	// Random is between 0 and 1 and spreads the looks. Default rand.Float64.
	Random func() float64
	Now    func() time.Time // default time.Now
	Logger *slog.Logger
}

// Poller looks at the remotes of mirrors: at their intervals, as a net under
// webhooks that get lost, and when it is woken.
type Poller struct {
	cfg    PollConfig
	rounds *rounds.Rounds
	looks  keyed
}

// NewPoller returns a Poller that has not begun.
func NewPoller(cfg PollConfig) *Poller {
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
	p := &Poller{cfg: cfg}
	p.rounds = rounds.New(rounds.Config{
		What: "look at mirrors", Every: cfg.Every, Parallel: cfg.Parallel, Logger: cfg.Logger,
		Due: func(ctx context.Context) ([]string, error) { return cfg.Mirrors.DueMirrors(ctx, cfg.Now()) },
		// Look logs its error, and the store keeps it.
		Do: func(ctx context.Context, name string) { _, _ = p.Look(ctx, name) },
	})
	return p
}

// Wake has it look now for mirrors that are due: call it when a webhook has
// made one due. It does not wait.
func (p *Poller) Wake() { p.rounds.Wake() }

// Poll looks until the context ends, breaks off what it is fetching, which git
// bears, and returns when that has ended.
func (p *Poller) Poll(ctx context.Context) { p.rounds.Walk(ctx) }

// Look looks at one mirror's remote now, tells what has moved, and keeps what
// came of it. It may be called beside Poll; looks at one mirror follow one
// another.
func (p *Poller) Look(ctx context.Context, name string) (Push, error) {
	release := p.looks.hold(name)
	defer release()
	log := p.cfg.Logger.With("repository", name)
	look := Look{Started: p.cfg.Now()}
	m, err := p.cfg.Mirrors.LoadMirror(ctx, name)
	var push Push
	if err == nil {
		push, err = p.cfg.Update(ctx, m.Mirror)
	}
	if ctx.Err() != nil {
		return push, context.Cause(ctx)
	}
	if err != nil {
		look.Failures, look.Error = m.Failures+1, err.Error()
		log.Warn("mirror not updated", "failures", look.Failures, "error", err)
	} else if len(push.Updates) > 0 {
		log.Info("mirror updated", "refs", len(push.Updates), "seconds", p.cfg.Now().Sub(look.Started).Seconds())
		p.cfg.Moved(ctx, push)
	}
	wait := pause(max(m.Interval, MinInterval), look.Failures, errors.Is(err, ErrDenied))
	// Mirrors that were added together part, and do not crowd their forge.
	look.Next = p.cfg.Now().Add(time.Duration(float64(wait) * (0.9 + 0.2*p.cfg.Random())))
	if kept := p.cfg.Mirrors.MirrorLooked(context.WithoutCancel(ctx), name, look); kept != nil {
		log.Error("keep when the mirror was looked at", "error", kept)
		err = errors.Join(err, kept)
	}
	return push, err
}

// pause is the time to the next look. After a failure it is short at first and
// doubles; but a remote that refuses the credentials is not hurried, since it
// might lock them.
func pause(interval time.Duration, failures int, denied bool) time.Duration {
	if failures == 0 {
		return interval
	}
	longest := max(interval, maxBackoff)
	wait := min(firstBackoff, interval)
	if denied {
		wait = interval
	}
	for range failures - 1 {
		if wait *= 2; wait >= longest {
			return longest
		}
	}
	return wait
}
