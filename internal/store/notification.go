package store

import (
	"context"
	"fmt"
	"time"
)

// Notification is a subscription as it is kept: its destination sealed. What is
// inside, and what the filter says, is none of the store's business.
type Notification struct {
	Name    string
	Kind    string
	Filter  []byte // JSON
	Sealed  []byte
	Created time.Time
}

// AddNotification keeps a new notification. The error is ErrExists when its
// name is taken.
func (db *DB) AddNotification(ctx context.Context, n Notification) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `INSERT INTO subscriptions (name, kind, filter, sealed, created) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING`,
			n.Name, n.Kind, string(n.Filter), n.Sealed, n.Created.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("save notification %s: %w", n.Name, err)
		}
		if rows == 0 {
			return fmt.Errorf("notification %s: %w", n.Name, ErrExists)
		}
		return nil
	})
}

// Notification loads one notification. The error is ErrNotFound when there is
// none.
func (db *DB) Notification(ctx context.Context, name string) (Notification, error) {
	found, err := db.notifications(ctx, `WHERE name = $1`, name)
	if err != nil {
		return Notification{}, err
	}
	if len(found) == 0 {
		return Notification{}, fmt.Errorf("notification %s: %w", name, ErrNotFound)
	}
	return found[0], nil
}

// Notifications lists all notifications by name.
func (db *DB) Notifications(ctx context.Context) ([]Notification, error) {
	return db.notifications(ctx, ``)
}

func (db *DB) notifications(ctx context.Context, where string, args ...any) (found []Notification, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getNotifications(ctx, q, where, args...)
		return err
	})
	return found, err
}

func getNotifications(ctx context.Context, q Querier, where string, args ...any) ([]Notification, error) {
	rows, err := q.Query(ctx, `SELECT name, kind, filter, sealed, created FROM subscriptions `+where+` ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list notifications: %w", err)
	}
	return scanAll(rows, func() (n Notification, err error) {
		var created string
		if err := rows.Scan(&n.Name, &n.Kind, &n.Filter, &n.Sealed, &created); err != nil {
			return n, err
		}
		n.Created, err = time.Parse(time.RFC3339, created)
		return n, err
	})
}

// RemoveNotification forgets a notification and what waits for it, dead
// notices too. The error is ErrNotFound when there is none.
func (db *DB) RemoveNotification(ctx context.Context, name string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `DELETE FROM subscriptions WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("remove notification %s: %w", name, err)
		}
		if rows == 0 {
			return fmt.Errorf("notification %s: %w", name, ErrNotFound)
		}
		return nil
	})
}

// ResealNotifications replaces what is sealed of every notification by what
// reseal makes of it, of all or of none. It holds the database's only writer
// meanwhile, so reseal must be quick.
func (db *DB) ResealNotifications(ctx context.Context, reseal func(name string, sealed []byte) ([]byte, error)) error {
	return db.Update(ctx, func(q Querier) error {
		found, err := getNotifications(ctx, q, ``)
		if err != nil {
			return err
		}
		for _, n := range found {
			sealed, err := reseal(n.Name, n.Sealed)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE subscriptions SET sealed = $2 WHERE name = $1`, n.Name, sealed); err != nil {
				return fmt.Errorf("save notification %s: %w", n.Name, err)
			}
		}
		return nil
	})
}
