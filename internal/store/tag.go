package store

import (
	"context"
	"errors"
	"fmt"
)

// ErrTooMany is returned when more is to be kept than may be.
var ErrTooMany = errors.New("too many")

// Tag is a word that users give to a resource.
type Tag struct{ Key, Value string }

// Tags lists the tags of a resource by key.
func (db *DB) Tags(ctx context.Context, resource string) (found []Tag, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getTags(ctx, q, resource)
		return err
	})
	return found, err
}

func getTags(ctx context.Context, q Querier, resource string) ([]Tag, error) {
	rows, err := q.Query(ctx, `SELECT key, value FROM resource_tags WHERE resource = $1 ORDER BY key`, resource)
	if err != nil {
		return nil, fmt.Errorf("list tags of %s: %w", resource, err)
	}
	return scanAll(rows, func() (t Tag, err error) { return t, rows.Scan(&t.Key, &t.Value) })
}

// AddTags gives tags to a resource, those of keys that it has in place of the
// old ones. The error is ErrTooMany, and nothing is done, when it would have
// more than most.
func (db *DB) AddTags(ctx context.Context, resource string, tags []Tag, most int) error {
	return db.Update(ctx, func(q Querier) error {
		for _, t := range tags {
			if _, err := q.Exec(ctx, `INSERT INTO resource_tags (resource, key, value) VALUES ($1, $2, $3)
				ON CONFLICT (resource, key) DO UPDATE SET value = excluded.value`, resource, t.Key, t.Value); err != nil {
				return fmt.Errorf("save tag of %s: %w", resource, err)
			}
		}
		all, err := getTags(ctx, q, resource)
		if err == nil && len(all) > most {
			err = fmt.Errorf("%d tags of %s: %w", len(all), resource, ErrTooMany)
		}
		return err
	})
}

// RemoveTags takes tags from a resource. Those that it does not have are no
// error.
func (db *DB) RemoveTags(ctx context.Context, resource string, keys []string) error {
	return db.Update(ctx, func(q Querier) error {
		for _, key := range keys {
			if _, err := q.Exec(ctx, `DELETE FROM resource_tags WHERE resource = $1 AND key = $2`, resource, key); err != nil {
				return fmt.Errorf("remove tag of %s: %w", resource, err)
			}
		}
		return nil
	})
}

// ForgetTags takes all tags from a resource that is no more.
func (db *DB) ForgetTags(ctx context.Context, resource string) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `DELETE FROM resource_tags WHERE resource = $1`, resource); err != nil {
			return fmt.Errorf("remove tags of %s: %w", resource, err)
		}
		return nil
	})
}
