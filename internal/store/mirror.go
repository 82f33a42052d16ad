package store

import (
	"context"
	"fmt"
	"time"
)

// Mirror is a mirror as it is kept: with its secrets sealed, and when it was
// and will be looked at. What is sealed is none of the store's business.
type Mirror struct {
	Name     string
	URL      string
	Forge    string
	Sealed   []byte
	Interval time.Duration // whole seconds
	// SourceOnly is a mirror that nobody has added: it is there because a
	// pipeline takes its source from it, and its own towline.yaml counts for
	// nothing.
	SourceOnly bool
	NextLook   time.Time
	LastLook   time.Time // zero before the first
	// LastError is what became of the last look, in words for the user; empty
	// when it went well. Failures counts those in a row.
	LastError string
	Failures  int
	Created   time.Time
	Updated   time.Time // when its address or secrets were last given
}

// sortable writes times of one length, so that they compare as text.
const sortable = "2006-01-02T15:04:05.000Z"

func sortableTime(t time.Time) string { return t.UTC().Format(sortable) }

func parseSortable(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(sortable, text)
}

// AddMirror keeps a new mirror, which is due at once. The error is ErrExists
// when the name is taken, unless it is to be replaced.
func (db *DB) AddMirror(ctx context.Context, m Mirror, replace bool) error {
	query := `INSERT INTO mirrors (name, url, forge, sealed, interval_seconds, next_look, asked, last_look, last_error, failures, created, updated, source_only)
VALUES ($1, $2, $3, $4, $5, $6, '', '', '', 0, $6, $6, $7) ON CONFLICT (name) DO `
	if replace {
		query += `UPDATE SET url = excluded.url, forge = excluded.forge, sealed = excluded.sealed, interval_seconds = excluded.interval_seconds,
next_look = excluded.next_look, last_error = '', failures = 0, updated = excluded.updated, source_only = excluded.source_only`
	} else {
		query += `NOTHING`
	}
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, query, m.Name, m.URL, m.Forge, m.Sealed, int64(m.Interval/time.Second), sortableTime(m.Created), m.SourceOnly)
		if err != nil {
			return fmt.Errorf("save mirror %s: %w", m.Name, err)
		}
		if rows == 0 {
			return fmt.Errorf("mirror %s: %w", m.Name, ErrExists)
		}
		return nil
	})
}

// Mirror loads one mirror. The error is ErrNotFound when there is none.
func (db *DB) Mirror(ctx context.Context, name string) (Mirror, error) {
	found, err := db.mirrors(ctx, `WHERE name = $1`, name)
	if err != nil {
		return Mirror{}, err
	}
	if len(found) == 0 {
		return Mirror{}, fmt.Errorf("mirror %s: %w", name, ErrNotFound)
	}
	return found[0], nil
}

// Mirrors lists all mirrors by name.
func (db *DB) Mirrors(ctx context.Context) ([]Mirror, error) {
	return db.mirrors(ctx, `ORDER BY name`)
}

func (db *DB) mirrors(ctx context.Context, rest string, args ...any) (found []Mirror, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getMirrors(ctx, q, rest, args...)
		return err
	})
	return found, err
}

func getMirrors(ctx context.Context, q Querier, rest string, args ...any) ([]Mirror, error) {
	rows, err := q.Query(ctx, `SELECT name, url, forge, sealed, interval_seconds, next_look, last_look, last_error, failures, created, updated, source_only FROM mirrors `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("list mirrors: %w", err)
	}
	return scanAll(rows, func() (m Mirror, err error) {
		var seconds int64
		var next, last, created, updated string
		if err := rows.Scan(&m.Name, &m.URL, &m.Forge, &m.Sealed, &seconds, &next, &last, &m.LastError, &m.Failures, &created, &updated, &m.SourceOnly); err != nil {
			return m, err
		}
		m.Interval = time.Duration(seconds) * time.Second
		for _, at := range []struct {
			text string
			time *time.Time
		}{{next, &m.NextLook}, {last, &m.LastLook}, {created, &m.Created}, {updated, &m.Updated}} {
			if *at.time, err = parseSortable(at.text); err != nil {
				return m, err
			}
		}
		return m, nil
	})
}

// DueMirrors lists the names of the mirrors whose next look is due, those that
// wait longest first.
func (db *DB) DueMirrors(ctx context.Context, now time.Time) (names []string, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT name FROM mirrors WHERE next_look <= $1 ORDER BY next_look, name`, sortableTime(now))
		if err != nil {
			return fmt.Errorf("list mirrors that are due: %w", err)
		}
		names, err = scanAll(rows, func() (name string, err error) { return name, rows.Scan(&name) })
		return err
	})
	return names, err
}

// HastenMirror makes a mirror due at once, also when it is being looked at
// just now. The error is ErrNotFound when there is none.
func HastenMirror(ctx context.Context, q Querier, name string, now time.Time) error {
	rows, err := q.Exec(ctx, `UPDATE mirrors SET next_look = $2, asked = $2 WHERE name = $1`, name, sortableTime(now))
	if err != nil {
		return fmt.Errorf("hasten mirror %s: %w", name, err)
	}
	if rows == 0 {
		return fmt.Errorf("mirror %s: %w", name, ErrNotFound)
	}
	return nil
}

// MirrorLook is what came of a look at a mirror.
type MirrorLook struct {
	Started  time.Time
	Next     time.Time
	Failures int
	Error    string
}

// MirrorLooked keeps what came of a look. When HastenMirror was called since it
// was started the mirror stays due, because the look may have come too early.
// A mirror that is not there any more is no error.
func (db *DB) MirrorLooked(ctx context.Context, name string, l MirrorLook) error {
	return db.Update(ctx, func(q Querier) error {
		_, err := q.Exec(ctx, `UPDATE mirrors SET last_look = $2, last_error = $4, failures = $5,
next_look = CASE WHEN asked >= $2 THEN $2 ELSE $3 END WHERE name = $1`,
			name, sortableTime(l.Started), sortableTime(l.Next), l.Error, l.Failures)
		if err != nil {
			return fmt.Errorf("save look at mirror %s: %w", name, err)
		}
		return nil
	})
}

// RemoveMirror forgets a mirror. The error is ErrNotFound when there is none.
func (db *DB) RemoveMirror(ctx context.Context, name string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `DELETE FROM mirrors WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("remove mirror %s: %w", name, err)
		}
		if rows == 0 {
			return fmt.Errorf("mirror %s: %w", name, ErrNotFound)
		}
		return nil
	})
}

// ResealMirrors replaces what is sealed of every mirror, as ResealClusters
// does for clusters.
func (db *DB) ResealMirrors(ctx context.Context, reseal func(name string, sealed []byte) ([]byte, error)) (count int, err error) {
	err = db.Update(ctx, func(q Querier) error {
		found, err := getMirrors(ctx, q, ``)
		if err != nil {
			return err
		}
		for _, m := range found {
			sealed, err := reseal(m.Name, m.Sealed)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE mirrors SET sealed = $2 WHERE name = $1`, m.Name, sealed); err != nil {
				return fmt.Errorf("save mirror %s: %w", m.Name, err)
			}
		}
		count = len(found)
		return nil
	})
	return count, err
}
