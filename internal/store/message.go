package store

import (
	"context"
	"fmt"
	"time"
)

// Message is what a webhook has told and is still to be acted on.
type Message struct {
	Hook     string
	Key      string // tells it from the others of its webhook
	Text     []byte // which the store does not read
	Taken    time.Time
	Failures int // times in a row that it could not be acted on
}

// AddMessage keeps a message, which is due at once.
func AddMessage(ctx context.Context, q Querier, m Message) error {
	_, err := q.Exec(ctx, `INSERT INTO messages (hook, key, text, taken, due, failures) VALUES ($1, $2, $3, $4, $4, 0)`, m.Hook, m.Key, m.Text, sortableTime(m.Taken))
	if err != nil {
		return fmt.Errorf("save message to webhook %s: %w", m.Hook, err)
	}
	return nil
}

// DueHooks lists the webhooks of which a message is due, those first whose
// message waits longest.
func (db *DB) DueHooks(ctx context.Context, now time.Time) (hooks []string, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT hook FROM messages WHERE due <= $1 GROUP BY hook ORDER BY min(due), hook`, sortableTime(now))
		if err != nil {
			return fmt.Errorf("list webhooks with messages: %w", err)
		}
		hooks, err = scanAll(rows, func() (hook string, err error) { return hook, rows.Scan(&hook) })
		return err
	})
	return hooks, err
}

// DueMessages lists the messages of a webhook that are due, in the order in
// which they came.
func (db *DB) DueMessages(ctx context.Context, hook string, now time.Time) (found []Message, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT hook, key, text, taken, failures FROM messages WHERE hook = $1 AND due <= $2 ORDER BY taken, key`, hook, sortableTime(now))
		if err != nil {
			return fmt.Errorf("list messages to webhook %s: %w", hook, err)
		}
		found, err = scanAll(rows, func() (m Message, err error) {
			var taken string
			if err := rows.Scan(&m.Hook, &m.Key, &m.Text, &taken, &m.Failures); err != nil {
				return m, err
			}
			m.Taken, err = parseSortable(taken)
			return m, err
		})
		return err
	})
	return found, err
}

// PostponeMessage counts one more failure, and makes the message due later.
func (db *DB) PostponeMessage(ctx context.Context, m Message, due time.Time) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `UPDATE messages SET failures = failures + 1, due = $3 WHERE hook = $1 AND key = $2`, m.Hook, m.Key, sortableTime(due)); err != nil {
			return fmt.Errorf("postpone message to webhook %s: %w", m.Hook, err)
		}
		return nil
	})
}

// RemoveMessage forgets a message, in the transaction in which what it leads to
// is recorded. The error is ErrNotFound when it has been acted on already.
func RemoveMessage(ctx context.Context, q Querier, m Message) error {
	rows, err := q.Exec(ctx, `DELETE FROM messages WHERE hook = $1 AND key = $2`, m.Hook, m.Key)
	if err != nil {
		return fmt.Errorf("remove message to webhook %s: %w", m.Hook, err)
	}
	if rows == 0 {
		return fmt.Errorf("message %s to webhook %s: %w", m.Key, m.Hook, ErrNotFound)
	}
	return nil
}
