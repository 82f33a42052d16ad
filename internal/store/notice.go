package store

import (
	"context"
	"fmt"
	"time"
)

// Notice is one event on its way to one notification.
type Notice struct {
	ID           int64 // grows in the order of the events
	Notification string
	Execution    string
	Event        string // its id
	Title        string // the event in a few words
	Body         []byte // what is sent
	Queued       time.Time
	Attempts     int
	Tried        time.Time // the last attempt, zero before the first
	Error        string    // why it failed
}

// NoticeOutcome is how one attempt of a delivery ended.
type NoticeOutcome struct {
	At time.Time
	// Error is why it failed, "" when the event was delivered.
	Error string
	// Next is when to try again, zero for never.
	Next time.Time
}

// NoticeCounts are the numbers of those of one notification.
type NoticeCounts struct {
	Pending, Delivered, Dead int
	Last                     time.Time // the last one that arrived, zero when none did
	Error                    string    // why the oldest pending one has not
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

func addNotice(ctx context.Context, q Querier, n Notice) error {
	_, err := q.Exec(ctx, `INSERT INTO notices (notification, execution, event, title, body, status, queued, due) VALUES ($1, $2, $3, $4, $5, 'pending', $6, $6)`,
		n.Notification, n.Execution, n.Event, n.Title, string(n.Body), millis(n.Queued))
	if err != nil {
		return fmt.Errorf("queue event %s for %s: %w", n.Event, n.Notification, err)
	}
	return nil
}

const noticeColumns = `id, notification, execution, event, title, body, queued, attempts, tried, error`

func scanNotices(rows Rows) ([]Notice, error) {
	return scanAll(rows, func() (n Notice, err error) {
		var queued, tried int64
		err = rows.Scan(&n.ID, &n.Notification, &n.Execution, &n.Event, &n.Title, &n.Body, &queued, &n.Attempts, &tried, &n.Error)
		n.Queued, n.Tried = instant(queued), instant(tried)
		return n, err
	})
}

// NextNotices are what a notification may be sent now, oldest first and at
// most limit: of each execution only the first that is pending, if its time has
// come. Due is when there will be more, zero when that is not known.
func (db *DB) NextNotices(ctx context.Context, notification string, now time.Time, limit int) (found []Notice, due time.Time, err error) {
	const first = ` FROM notices d WHERE notification = $1 AND status = 'pending' AND NOT EXISTS (
		SELECT 1 FROM notices e WHERE e.notification = d.notification AND e.execution = d.execution AND e.status = 'pending' AND e.id < d.id)`
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT `+noticeColumns+first+` AND due <= $2 ORDER BY id LIMIT $3`, notification, millis(now), limit)
		if err != nil {
			return fmt.Errorf("read what is to be sent to %s: %w", notification, err)
		}
		if found, err = scanNotices(rows); err != nil {
			return err
		}
		if rows, err = q.Query(ctx, `SELECT COALESCE(MIN(due), 0)`+first+` AND due > $2`, notification, millis(now)); err != nil {
			return fmt.Errorf("read when something is to be sent to %s: %w", notification, err)
		}
		var next int64
		err = scanOne(rows, &next)
		due = instant(next)
		return err
	})
	return found, due, err
}

// RecordNotice says how an attempt ended: the event was delivered, is to be
// tried again, or is dead. One that is gone, because its notification was
// removed meanwhile, is no error.
func (db *DB) RecordNotice(ctx context.Context, id int64, o NoticeOutcome) error {
	status := "pending"
	switch {
	case o.Error == "":
		status = "delivered"
	case o.Next.IsZero():
		status = "dead"
	}
	return db.Update(ctx, func(q Querier) error {
		_, err := q.Exec(ctx, `UPDATE notices SET status = $2, attempts = attempts + 1, tried = $3, error = $4, due = $5 WHERE id = $1 AND status = 'pending'`,
			id, status, millis(o.At), o.Error, millis(o.Next))
		if err != nil {
			return fmt.Errorf("record notice %d: %w", id, err)
		}
		return nil
	})
}

// CountNotices counts those of each notification, by its name.
func (db *DB) CountNotices(ctx context.Context) (map[string]NoticeCounts, error) {
	counts := map[string]NoticeCounts{}
	err := db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT notification, status, COUNT(*), MAX(tried) FROM notices GROUP BY notification, status`)
		if err != nil {
			return fmt.Errorf("count notices: %w", err)
		}
		_, err = scanAll(rows, func() (none struct{}, err error) {
			var name, status string
			var count int
			var last int64
			if err := rows.Scan(&name, &status, &count, &last); err != nil {
				return none, err
			}
			c := counts[name]
			switch status {
			case "pending":
				c.Pending = count
			case "delivered":
				c.Delivered, c.Last = count, instant(last)
			default:
				c.Dead = count
			}
			counts[name] = c
			return none, nil
		})
		if err != nil {
			return err
		}
		// With MIN, SQLite takes the other columns from that very row.
		if rows, err = q.Query(ctx, `SELECT notification, MIN(id), error FROM notices WHERE status = 'pending' GROUP BY notification`); err != nil {
			return fmt.Errorf("list what is pending: %w", err)
		}
		_, err = scanAll(rows, func() (none struct{}, err error) {
			var name, problem string
			var id int64
			err = rows.Scan(&name, &id, &problem)
			c := counts[name]
			c.Error = problem
			counts[name] = c
			return none, err
		})
		return err
	})
	return counts, err
}

// DeadNotices lists what was given up, newest first, of one notification or,
// when that is "", of all.
func (db *DB) DeadNotices(ctx context.Context, notification string, limit int) (found []Notice, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT `+noticeColumns+` FROM notices WHERE status = 'dead' AND ($1 = '' OR notification = $1) ORDER BY id DESC LIMIT $2`, notification, limit)
		if err != nil {
			return fmt.Errorf("list dead notices: %w", err)
		}
		found, err = scanNotices(rows)
		return err
	})
	return found, err
}

// ReviveNotices queues dead notices of a notification again: one, or all
// when id is 0. It returns how many there were.
func (db *DB) ReviveNotices(ctx context.Context, notification string, id int64, now time.Time) (count int, err error) {
	err = db.Update(ctx, func(q Querier) error {
		revived, err := q.Exec(ctx, `UPDATE notices SET status = 'pending', queued = $3, due = $3, attempts = 0 WHERE status = 'dead' AND notification = $1 AND ($2 = 0 OR id = $2)`,
			notification, id, millis(now))
		if err != nil {
			return fmt.Errorf("queue dead notices of %s again: %w", notification, err)
		}
		count = int(revived)
		return nil
	})
	return count, err
}

// PruneNotices forgets what was delivered before one instant and what was
// given up before another.
func (db *DB) PruneNotices(ctx context.Context, delivered, dead time.Time) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `DELETE FROM notices WHERE status = 'delivered' AND tried < $1 OR status = 'dead' AND tried < $2`, millis(delivered), millis(dead)); err != nil {
			return fmt.Errorf("forget old notices: %w", err)
		}
		return nil
	})
}

// ExpireNotices gives up what was queued before an instant and is still
// pending. It returns how many that were.
func (db *DB) ExpireNotices(ctx context.Context, before, now time.Time) (count int, err error) {
	err = db.Update(ctx, func(q Querier) error {
		late, err := q.Exec(ctx, `UPDATE notices SET status = 'dead', tried = $2, error = CASE error WHEN '' THEN 'there was no time to try it' ELSE error END
			WHERE status = 'pending' AND queued < $1`, millis(before), millis(now))
		if err != nil {
			return fmt.Errorf("give up late notices: %w", err)
		}
		count = int(late)
		return nil
	})
	return count, err
}
