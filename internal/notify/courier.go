package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/towline/towline/internal/store"
)

const (
	// carryAtOnce is how many executions are told of before the store is asked
	// again.
	carryAtOnce = 20
	// recordWithin bounds how long a stopping server takes to write down what
	// has arrived.
	recordWithin = 5 * time.Second
	// The first attempt after a failure comes after about firstPause, each
	// further one after twice the time, up to longestPause.
	firstPause   = 5 * time.Second
	longestPause = time.Hour
	// lookAgain is how long a courier sleeps when nothing is due.
	lookAgain = time.Minute
	// leastPause is how long it sleeps at least, so that many that are due one
	// after the other are looked for together.
	leastPause = time.Second
)

// courier sends what there is for one subscription, one notice after the other.
type courier struct {
	wake chan struct{}
	stop func() // and wait until it has
}

// send begins a courier.
func (n *Notifier) send(ctx context.Context, name string) courier {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	c := courier{wake: make(chan struct{}, 1), stop: func() { cancel(); <-done }}
	n.running.Go(func() {
		defer close(done)
		n.carry(ctx, name, c.wake)
	})
	return c
}

func (n *Notifier) carry(ctx context.Context, name string, wake <-chan struct{}) {
	for ctx.Err() == nil {
		pause, err := n.carrySome(ctx, name)
		if err != nil && ctx.Err() == nil {
			n.Logger.Warn("send notifications", "notification", name, "error", err)
			pause = leastPause
		}
		if pause <= 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// carrySome sends what is due and returns how long there is nothing more to do.
func (n *Notifier) carrySome(ctx context.Context, name string) (pause time.Duration, err error) {
	now := n.Now()
	found, due, err := n.Store.NextNotices(ctx, name, now, carryAtOnce)
	if err != nil {
		return 0, err
	}
	for _, notice := range found {
		if err := n.attempt(ctx, notice); err != nil {
			return 0, err
		}
	}
	switch {
	case len(found) > 0:
		return 0, nil
	case due.IsZero():
		return lookAgain, nil
	}
	return min(lookAgain, max(leastPause, due.Sub(now))), nil
}

// attempt sends a notice and writes down how that ended. When the server dies
// in between, it is sent again, with the same id.
func (n *Notifier) attempt(ctx context.Context, notice store.Notice) error {
	sent := n.deliver(ctx, notice)
	if sent != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	return n.Store.RecordNotice(ctx, notice.ID, n.outcome(notice, sent))
}

// outcome is what follows from an attempt.
func (n *Notifier) outcome(notice store.Notice, sent error) store.NoticeOutcome {
	now := n.Now()
	if sent == nil {
		return store.NoticeOutcome{At: now}
	}
	o := store.NoticeOutcome{At: now, Error: oneLine(sent.Error())}
	log := n.Logger.With("notification", notice.Notification, "execution", notice.Execution, "event", notice.Event, "error", o.Error)
	last := notice.Queued.Add(n.GiveUp)
	var r *refusal
	refused := errors.As(sent, &r)
	if refused && r.final || !now.Before(last) {
		log.Warn("notification given up: see `towline notification dead`", "attempts", notice.Attempts+1)
		return o
	}
	wait := pauseBefore(notice.Attempts + 1)
	if refused {
		wait = max(wait, r.after)
	}
	o.Next = now.Add(wait)
	if o.Next.After(last) {
		o.Next = last
	}
	if notice.Attempts == 0 {
		log.Warn("notification not delivered: it is tried again", "next", o.Next)
	}
	return o
}

// pauseBefore is how long to wait after so many attempts: between half and all
// of a time that doubles, so that many that failed together do not come back
// together.
func pauseBefore(attempts int) time.Duration {
	longest := longestPause
	if attempts < 20 { // beyond, the shift would overflow
		longest = min(longestPause, firstPause<<(attempts-1))
	}
	return longest/2 + rand.N(longest/2) //nolint:gosec // nothing is to be kept from guessing
}

// refusal is a receiver's no.
type refusal struct {
	message string
	final   bool          // it will not say yes later
	after   time.Duration // before which it does not want to be asked, 0 when it did not say
}

func (r *refusal) Error() string { return r.message }

// deliver sends a notice. Its errors name no URL: in them are secrets.
func (n *Notifier) deliver(ctx context.Context, notice store.Notice) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.Timeout, fmt.Errorf("it took longer than %s", n.Timeout))
	defer cancel()
	stored, err := n.Store.Notification(ctx, notice.Notification)
	if err != nil {
		return err
	}
	target, err := n.open(stored)
	if err != nil {
		return err
	}
	return n.deliverTo(ctx, Kind(stored.Kind), target, notice)
}

func (n *Notifier) deliverTo(ctx context.Context, kind Kind, target Target, notice store.Notice) error {
	var err error
	switch kind {
	case Webhook:
		err = n.postEvent(ctx, target, notice)
	case Slack:
		err = n.post(ctx, target.URL, notice.Body, nil)
	case Email:
		err = n.mail(ctx, *target.SMTP, notice)
	default:
		err = fmt.Errorf("no notifications of kind %q are known here: it was added by a newer Towline", kind)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// label is what a target is sealed for.
func label(name string) string { return "notification " + name }

func (n *Notifier) open(stored store.Notification) (target Target, err error) {
	text, err := n.Keys.Unseal(label(stored.Name), stored.Sealed)
	if err != nil {
		return target, err
	}
	if err := json.Unmarshal(text, &target); err != nil || Kind(stored.Kind) == Email && target.SMTP == nil {
		return target, fmt.Errorf("read where notification %s goes: it was written by another Towline: add it again", stored.Name)
	}
	return target, nil
}
