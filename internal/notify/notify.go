// Package notify tells of what happens to executions: as events in the shape of
// EventBridge's to webhooks, and in words to chats and mailboxes. Its noun is
// the subscription. What has changed lies in the store's outbox, written
// together with the change itself; here it is shared out to the subscriptions
// and sent, at least once, in order for each execution, until it arrives or its
// time is over. What leads to a change it does not know, and nothing waits for
// it.
package notify

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/towline/towline/internal/store"
)

// Keys seal where notifications go. A *secret.Keyring does.
type Keys interface {
	Seal(name string, text []byte) ([]byte, error)
	Unseal(name string, sealed []byte) ([]byte, error)
}

// Config is what a Notifier needs.
type Config struct {
	Store *store.DB
	Keys  Keys
	// Account and Region stand in the events' ARNs.
	Account, Region string
	// Link is where a person finds an execution, "" for nowhere. It may be nil.
	Link    func(execution string) string
	Version string // of this program, which receivers see
	Now     func() time.Time
	Logger  *slog.Logger
	// RootCAs are the authorities that receivers' certificates are checked
	// against, nil for the system's.
	RootCAs *x509.CertPool
	// Timeout bounds one attempt, GiveUp the time in which an event is tried
	// again. Zero is a usable default.
	Timeout, GiveUp time.Duration
}

const (
	defaultTimeout = 20 * time.Second
	defaultGiveUp  = 24 * time.Hour
	// lookEvery is how often the outbox is looked into. It is how late a
	// notification may be.
	lookEvery = time.Second
	// pruneEvery is how often old notices are looked for, and how long they
	// are kept once they have ended.
	pruneEvery    = time.Hour
	keepDelivered = 3 * 24 * time.Hour
	keepDead      = 30 * 24 * time.Hour
)

// Notifier is the notifications of one server. It is safe for concurrent use.
type Notifier struct {
	Config
	http *http.Client
	wake chan struct{}

	stop    context.CancelFunc
	running sync.WaitGroup
}

// New prepares the notifications. Nothing is sent until Start.
func New(config Config) *Notifier {
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	if config.GiveUp == 0 {
		config.GiveUp = defaultGiveUp
	}
	return &Notifier{Config: config, http: newHTTP(config), wake: make(chan struct{}, 1)}
}

// Start sends what waits and what comes, until Stop.
func (n *Notifier) Start(ctx context.Context) {
	ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	n.running.Go(func() { n.run(ctx) })
}

// Stop sends nothing more. What has not arrived is sent after the next Start.
func (n *Notifier) Stop() {
	if n.stop != nil {
		n.stop()
	}
	n.running.Wait()
}

// Wake looks into the outbox and for what is due now.
func (n *Notifier) Wake() { nudge(n.wake) }

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it is awake already
	}
}

// run shares out what comes, and keeps a courier for each subscription.
func (n *Notifier) run(ctx context.Context) {
	couriers := map[string]courier{}
	defer func() {
		for _, c := range couriers {
			c.stop()
		}
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var pruned time.Time
	begun, woken := n.Now(), false
	for {
		if err := n.look(ctx, couriers, woken); err != nil && ctx.Err() == nil {
			n.Logger.Warn("share out notifications", "error", err)
		}
		if now := n.Now(); now.Sub(pruned) >= pruneEvery {
			pruned = now
			if err := n.prune(ctx, begun); err != nil && ctx.Err() == nil {
				n.Logger.Warn("forget old notifications", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			woken = false
		case <-n.wake:
			woken = true
		}
	}
}

// prune forgets old notices. What is pending beyond its time, because a slow
// receiver left none to try it, is dead as well, but not soon after the start
// of a server that was down for long.
func (n *Notifier) prune(ctx context.Context, begun time.Time) error {
	now := n.Now()
	if err := n.Store.PruneNotices(ctx, now.Add(-keepDelivered), now.Add(-keepDead)); err != nil {
		return err
	}
	if now.Sub(begun) < pruneEvery {
		return nil
	}
	late, err := n.Store.ExpireNotices(ctx, now.Add(-n.GiveUp-pruneEvery), now)
	if late > 0 {
		n.Logger.Warn("notifications given up, since their receivers are too slow: see `towline notification dead`", "count", late)
	}
	return err
}

// look shares out what is in the outbox and sees that each subscription has its
// courier, and each courier its subscription. Those that sleep are woken when
// there is something new, or when that is asked for.
func (n *Notifier) look(ctx context.Context, couriers map[string]courier, wake bool) error {
	for {
		taken, err := n.Store.ShareOut(ctx, shareAtOnce, n.share)
		if err != nil {
			return err
		}
		if taken == 0 {
			break
		}
		wake = true
	}
	all, err := n.Store.Notifications(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, s := range all {
		there[s.Name] = true
		if c, ok := couriers[s.Name]; !ok {
			couriers[s.Name] = n.send(ctx, s.Name)
		} else if wake {
			nudge(c.wake)
		}
	}
	for name, c := range couriers {
		if !there[name] {
			c.stop()
			delete(couriers, name)
		}
	}
	return nil
}
