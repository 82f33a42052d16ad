package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/towline/towline/internal/store"
)

// Listed is a subscription as it is shown, without what is secret.
type Listed struct {
	Name    string
	Kind    Kind
	Filter  Filter
	To      string // see Target.Public
	Created time.Time
	Counts  store.NoticeCounts
	Problem string // why nothing can be sent, such as a lost key
}

// Add begins to tell somebody of what happens from now on. The target that is
// returned has the secret that was made when none was given. The error is an
// *InvalidError, or store.ErrExists when the name is taken.
func (n *Notifier) Add(ctx context.Context, s Subscription) (Subscription, error) {
	if err := s.Check(); err != nil {
		return s, err
	}
	stored := store.Notification{Name: s.Name, Kind: string(s.Kind), Created: n.Now().UTC().Truncate(time.Second)}
	s.Created = stored.Created
	var err error
	if stored.Filter, err = json.Marshal(s.Filter); err != nil {
		return s, fmt.Errorf("encode the filter of notification %s: %w", s.Name, err)
	}
	text, err := json.Marshal(s.Target) //nolint:gosec // it is sealed below
	if err != nil {
		return s, fmt.Errorf("encode where notification %s goes: %w", s.Name, err)
	}
	if stored.Sealed, err = n.Keys.Seal(label(s.Name), text); err != nil {
		return s, err
	}
	if err := n.Store.AddNotification(ctx, stored); err != nil {
		return s, err
	}
	n.Wake()
	return s, nil
}

// List shows the subscriptions by name.
func (n *Notifier) List(ctx context.Context) ([]Listed, error) {
	all, err := n.Store.Notifications(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := n.Store.CountNotices(ctx)
	if err != nil {
		return nil, err
	}
	var found []Listed
	for _, s := range all {
		shown := Listed{Name: s.Name, Kind: Kind(s.Kind), Created: s.Created, Counts: counts[s.Name]}
		if err := json.Unmarshal(s.Filter, &shown.Filter); err != nil {
			return nil, fmt.Errorf("read the filter of notification %s: %w", s.Name, err)
		}
		target, err := n.open(s)
		if err != nil {
			shown.Problem = err.Error()
		} else {
			shown.To = target.Public()
		}
		found = append(found, shown)
	}
	return found, nil
}

// Remove tells somebody no more, not even of what has happened already. The
// error is store.ErrNotFound when there is no such subscription.
func (n *Notifier) Remove(ctx context.Context, name string) error {
	if err := n.Store.RemoveNotification(ctx, name); err != nil {
		return err
	}
	n.Wake()
	return nil
}

// Test sends something at once and once only. The problem is why it did not
// arrive, nil when it did; the error is store.ErrNotFound when there is no such
// subscription.
func (n *Notifier) Test(ctx context.Context, name string) (problem, err error) {
	stored, err := n.Store.Notification(ctx, name)
	if err != nil {
		return nil, err
	}
	target, err := n.open(stored)
	if err != nil {
		return err, nil // the problem that was asked for
	}
	now := n.Now()
	event := Event{
		Version: "0", ID: uuid(rand.Text()), DetailType: "Towline Notification Test", Source: "towline",
		Account: n.Account, Time: now.UTC().Format(time.RFC3339), Region: n.Region, Resources: []string{},
		Detail: map[string]string{"notification": name},
	}
	said := message{Title: "Test of the notification " + name, Lines: []string{"Towline can send here."}}
	notice := store.Notice{Notification: name, Event: event.ID, Title: said.Title}
	if notice.Body, err = bodyOf(Kind(stored.Kind), said, event); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, n.Timeout, fmt.Errorf("it took longer than %s", n.Timeout))
	defer cancel()
	return n.deliverTo(ctx, Kind(stored.Kind), target, notice), nil
}

// mostDead bounds a list of dead notices.
const mostDead = 1000

// Dead lists what was given up, newest first: of one subscription, or of all
// when the name is "".
func (n *Notifier) Dead(ctx context.Context, name string, limit int) ([]store.Notice, error) {
	if name != "" {
		if _, err := n.Store.Notification(ctx, name); err != nil {
			return nil, err
		}
	}
	return n.Store.DeadNotices(ctx, name, min(cmp.Or(limit, mostDead), mostDead))
}

// Redeliver sends what was given up again: one notice, or all of a subscription
// when id is 0. They have as much time as new ones. It returns how many there
// were; the error is store.ErrNotFound when there is no such subscription, or
// no such dead notice of it.
func (n *Notifier) Redeliver(ctx context.Context, name string, id int64) (int, error) {
	if _, err := n.Store.Notification(ctx, name); err != nil {
		return 0, err
	}
	count, err := n.Store.ReviveNotices(ctx, name, id, n.Now())
	if err == nil && count == 0 && id != 0 {
		err = fmt.Errorf("dead notification %d of %s: %w", id, name, store.ErrNotFound)
	}
	n.Wake()
	return count, err
}

// Reseal seals every target with the newest key, all or none.
func (n *Notifier) Reseal(ctx context.Context) error {
	return n.Store.ResealNotifications(ctx, func(name string, sealed []byte) ([]byte, error) {
		text, err := n.Keys.Unseal(label(name), sealed)
		if err != nil {
			return nil, err
		}
		return n.Keys.Seal(label(name), text)
	})
}
