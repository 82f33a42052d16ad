package store

import (
	"context"
	"fmt"
	"time"
)

// AccessKey is an access key as it is kept, its secret sealed. What a role may
// do is none of the store's business.
type AccessKey struct {
	ID      string
	Sealed  []byte
	Role    string
	Note    string
	Created time.Time
	Used    time.Time // the hour of the last use, zero before the first
}

// AddAccessKey keeps a new access key. The error is ErrExists when its id is
// taken.
func (db *DB) AddAccessKey(ctx context.Context, k AccessKey) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `INSERT INTO access_keys (id, sealed, role, note, created) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
			k.ID, k.Sealed, k.Role, k.Note, k.Created.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("save access key %s: %w", k.ID, err)
		}
		if rows == 0 {
			return fmt.Errorf("access key %s: %w", k.ID, ErrExists)
		}
		return nil
	})
}

// AccessKey loads one access key. The error is ErrNotFound when there is none.
func (db *DB) AccessKey(ctx context.Context, id string) (AccessKey, error) {
	found, err := db.accessKeys(ctx, `WHERE id = $1`, id)
	if err != nil {
		return AccessKey{}, err
	}
	if len(found) == 0 {
		return AccessKey{}, fmt.Errorf("access key %s: %w", id, ErrNotFound)
	}
	return found[0], nil
}

// AccessKeys lists all access keys, oldest first.
func (db *DB) AccessKeys(ctx context.Context) ([]AccessKey, error) { return db.accessKeys(ctx, ``) }

func (db *DB) accessKeys(ctx context.Context, where string, args ...any) (found []AccessKey, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getAccessKeys(ctx, q, where, args...)
		return err
	})
	return found, err
}

func getAccessKeys(ctx context.Context, q Querier, where string, args ...any) ([]AccessKey, error) {
	rows, err := q.Query(ctx, `SELECT id, sealed, role, note, created, used FROM access_keys `+where+` ORDER BY created, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list access keys: %w", err)
	}
	return scanAll(rows, func() (k AccessKey, err error) {
		var created, used string
		if err := rows.Scan(&k.ID, &k.Sealed, &k.Role, &k.Note, &created, &used); err != nil {
			return k, err
		}
		if k.Created, err = time.Parse(time.RFC3339, created); err != nil || used == "" {
			return k, err
		}
		k.Used, err = time.Parse(time.RFC3339, used)
		return k, err
	})
}

// UseAccessKey records when an access key was last used. One that is not there
// any more is no error.
func (db *DB) UseAccessKey(ctx context.Context, id string, at time.Time) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `UPDATE access_keys SET used = $2 WHERE id = $1`, id, at.UTC().Format(time.RFC3339)); err != nil {
			return fmt.Errorf("save access key %s: %w", id, err)
		}
		return nil
	})
}

// RemoveAccessKey forgets an access key. The error is ErrNotFound when there is
// none.
func (db *DB) RemoveAccessKey(ctx context.Context, id string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `DELETE FROM access_keys WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("remove access key %s: %w", id, err)
		}
		if rows == 0 {
			return fmt.Errorf("access key %s: %w", id, ErrNotFound)
		}
		return nil
	})
}

// ResealAccessKeys replaces the sealed secret of every access key by what
// reseal makes of it, of all or of none. It holds the database's only writer
// meanwhile, so reseal must be quick.
func (db *DB) ResealAccessKeys(ctx context.Context, reseal func(id string, sealed []byte) ([]byte, error)) (count int, err error) {
	err = db.Update(ctx, func(q Querier) error {
		found, err := getAccessKeys(ctx, q, ``)
		if err != nil {
			return err
		}
		for _, k := range found {
			sealed, err := reseal(k.ID, k.Sealed)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE access_keys SET sealed = $2 WHERE id = $1`, k.ID, sealed); err != nil {
				return fmt.Errorf("save access key %s: %w", k.ID, err)
			}
		}
		count = len(found)
		return nil
	})
	return count, err
}
