package store

import (
	"context"
	"fmt"
	"time"
)

// Bucket is a place for objects.
type Bucket struct {
	Name    string
	Created time.Time
}

// AddBucket makes a bucket. The error is ErrExists when there is one of that
// name.
func (db *DB) AddBucket(ctx context.Context, b Bucket) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `INSERT INTO buckets (name, created) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, b.Name, sortableTime(b.Created))
		if err != nil {
			return fmt.Errorf("save bucket %s: %w", b.Name, err)
		}
		if rows == 0 {
			return fmt.Errorf("bucket %s: %w", b.Name, ErrExists)
		}
		return nil
	})
}

// Buckets lists the buckets by name.
func (db *DB) Buckets(ctx context.Context) (found []Bucket, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT name, created FROM buckets ORDER BY name`)
		if err != nil {
			return fmt.Errorf("list buckets: %w", err)
		}
		found, err = scanBuckets(rows)
		return err
	})
	return found, err
}

// Bucket loads one bucket. The error is ErrNotFound when there is none.
func (db *DB) Bucket(ctx context.Context, name string) (b Bucket, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT name, created FROM buckets WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("load bucket %s: %w", name, err)
		}
		found, err := scanBuckets(rows)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("bucket %s: %w", name, ErrNotFound)
		}
		if err == nil {
			b = found[0]
		}
		return err
	})
	return b, err
}

func scanBuckets(rows Rows) ([]Bucket, error) {
	return scanAll(rows, func() (b Bucket, err error) {
		var created string
		if err := rows.Scan(&b.Name, &created); err != nil {
			return b, err
		}
		b.Created, err = time.Parse(time.RFC3339, created)
		return b, err
	})
}

// RemoveBucket forgets a bucket and the uploads to it that were never completed.
// The error is ErrNotFound when there is none, and ErrBusy when it has objects.
func (db *DB) RemoveBucket(ctx context.Context, name string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT 1 FROM objects WHERE bucket = $1 LIMIT 1`, name)
		if err != nil {
			return fmt.Errorf("look into bucket %s: %w", name, err)
		}
		full := rows.Next()
		if err := rows.Close(); err != nil {
			return err
		}
		if full {
			return fmt.Errorf("remove bucket %s: %w", name, ErrBusy)
		}
		if _, err := q.Exec(ctx, `DELETE FROM uploads WHERE bucket = $1`, name); err != nil {
			return fmt.Errorf("remove bucket %s: %w", name, err)
		}
		removed, err := q.Exec(ctx, `DELETE FROM buckets WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("remove bucket %s: %w", name, err)
		}
		if removed == 0 {
			return fmt.Errorf("bucket %s: %w", name, ErrNotFound)
		}
		return nil
	})
}
