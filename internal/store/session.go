package store

import (
	"context"
	"fmt"
	"time"
)

// sessionsKept is how long a session is remembered after its end, so that who
// still uses it is told why it is good for nothing.
const sessionsKept = 24 * time.Hour

// Session is a temporary access key as it is kept, its secret sealed and its
// token as a digest. What its scope means is none of the store's business.
type Session struct {
	ID      string
	Sealed  []byte
	Token   []byte // SHA-256
	Job     string
	Scope   []byte // JSON
	Expires time.Time
}

// AddSession keeps a new session, and forgets those that are long over.
func (db *DB) AddSession(ctx context.Context, s Session, now time.Time) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `DELETE FROM sessions WHERE expires < $1`, sortableTime(now.Add(-sessionsKept))); err != nil {
			return fmt.Errorf("forget old sessions: %w", err)
		}
		_, err := q.Exec(ctx, `INSERT INTO sessions (id, sealed, token, job, scope, expires) VALUES ($1, $2, $3, $4, $5, $6)`,
			s.ID, s.Sealed, s.Token, s.Job, string(s.Scope), sortableTime(s.Expires))
		if err != nil {
			return fmt.Errorf("save session %s: %w", s.ID, err)
		}
		return nil
	})
}

// Session loads one session. The error is ErrNotFound when there is none.
func (db *DB) Session(ctx context.Context, id string) (s Session, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT id, sealed, token, job, scope, expires FROM sessions WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("load session %s: %w", id, err)
		}
		var scope, expires string
		if err := scanOne(rows, &s.ID, &s.Sealed, &s.Token, &s.Job, &scope, &expires); err != nil {
			return fmt.Errorf("session %s: %w", id, err)
		}
		s.Scope = []byte(scope)
		s.Expires, err = time.Parse(time.RFC3339, expires)
		return err
	})
	return s, err
}

// EndSessions forgets the sessions of a job.
func (db *DB) EndSessions(ctx context.Context, job string) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `DELETE FROM sessions WHERE job = $1`, job); err != nil {
			return fmt.Errorf("end the sessions of job %s: %w", job, err)
		}
		return nil
	})
}

// ResealSessions replaces the sealed secret of every session by what reseal
// makes of it, of all or of none. It holds the database's only writer meanwhile,
// so reseal must be quick.
func (db *DB) ResealSessions(ctx context.Context, reseal func(id string, sealed []byte) ([]byte, error)) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT id, sealed FROM sessions`)
		if err != nil {
			return fmt.Errorf("list sessions: %w", err)
		}
		all, err := scanAll(rows, func() (s Session, err error) { return s, rows.Scan(&s.ID, &s.Sealed) })
		if err != nil {
			return err
		}
		for _, s := range all {
			sealed, err := reseal(s.ID, s.Sealed)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE sessions SET sealed = $2 WHERE id = $1`, s.ID, sealed); err != nil {
				return fmt.Errorf("save session %s: %w", s.ID, err)
			}
		}
		return nil
	})
}
