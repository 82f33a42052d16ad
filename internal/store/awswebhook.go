package store

import (
	"context"
	"fmt"
	"time"
)

// AWSWebhook is a webhook that a client of AWS's has set up, as it is kept: its
// definition is sealed.
type AWSWebhook struct {
	Name      string
	Path      string // the part of its URL that nobody can guess
	Sealed    []byte
	Triggered time.Time // zero before it has started anything
}

// PutAWSWebhook keeps a webhook. One that is there gets another definition, and
// keeps its path, which is returned.
func (db *DB) PutAWSWebhook(ctx context.Context, w AWSWebhook) (path string, err error) {
	err = db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `INSERT INTO aws_webhooks (name, path, sealed) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed`, w.Name, w.Path, w.Sealed); err != nil {
			return fmt.Errorf("save webhook %s: %w", w.Name, err)
		}
		rows, err := q.Query(ctx, `SELECT path FROM aws_webhooks WHERE name = $1`, w.Name)
		if err != nil {
			return fmt.Errorf("load webhook %s: %w", w.Name, err)
		}
		return scanOne(rows, &path)
	})
	return path, err
}

// AWSWebhooks lists the webhooks by name.
func (db *DB) AWSWebhooks(ctx context.Context) ([]AWSWebhook, error) { return db.awsWebhooks(ctx, ``) }

// AWSWebhook loads the webhook of a path. The error is ErrNotFound when there
// is none.
func (db *DB) AWSWebhook(ctx context.Context, path string) (AWSWebhook, error) {
	found, err := db.awsWebhooks(ctx, `WHERE path = $1`, path)
	if err != nil {
		return AWSWebhook{}, err
	}
	if len(found) == 0 {
		return AWSWebhook{}, fmt.Errorf("webhook: %w", ErrNotFound)
	}
	return found[0], nil
}

func (db *DB) awsWebhooks(ctx context.Context, where string, args ...any) (found []AWSWebhook, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getAWSWebhooks(ctx, q, where, args...)
		return err
	})
	return found, err
}

func getAWSWebhooks(ctx context.Context, q Querier, where string, args ...any) ([]AWSWebhook, error) {
	rows, err := q.Query(ctx, `SELECT name, path, sealed, triggered FROM aws_webhooks `+where+` ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return scanAll(rows, func() (w AWSWebhook, err error) {
		var triggered string
		if err := rows.Scan(&w.Name, &w.Path, &w.Sealed, &triggered); err != nil || triggered == "" {
			return w, err
		}
		w.Triggered, err = time.Parse(time.RFC3339, triggered)
		return w, err
	})
}

// TriggerAWSWebhook records that a webhook has started something.
func (db *DB) TriggerAWSWebhook(ctx context.Context, name string, at time.Time) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `UPDATE aws_webhooks SET triggered = $2 WHERE name = $1`, name, at.UTC().Format(time.RFC3339)); err != nil {
			return fmt.Errorf("save webhook %s: %w", name, err)
		}
		return nil
	})
}

// RemoveAWSWebhook forgets a webhook. The error is ErrNotFound when there is
// none.
func (db *DB) RemoveAWSWebhook(ctx context.Context, name string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `DELETE FROM aws_webhooks WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("remove webhook %s: %w", name, err)
		}
		if rows == 0 {
			return fmt.Errorf("webhook %s: %w", name, ErrNotFound)
		}
		return nil
	})
}

// ResealAWSWebhooks replaces what is sealed of every webhook by what reseal
// makes of it, of all or of none. It holds the database's only writer meanwhile.
func (db *DB) ResealAWSWebhooks(ctx context.Context, reseal func(name string, sealed []byte) ([]byte, error)) error {
	return db.Update(ctx, func(q Querier) error {
		found, err := getAWSWebhooks(ctx, q, ``)
		if err != nil {
			return err
		}
		for _, w := range found {
			sealed, err := reseal(w.Name, w.Sealed)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE aws_webhooks SET sealed = $2 WHERE name = $1`, w.Name, sealed); err != nil {
				return fmt.Errorf("save webhook %s: %w", w.Name, err)
			}
		}
		return nil
	})
}
