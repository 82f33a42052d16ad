package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Upload is an object that comes in parts.
type Upload struct {
	ID      string
	Bucket  string
	Key     string
	Headers map[string]string // of the object that is to be
	Owner   string            // id of the access key that began it
	Started time.Time
}

// Part is one part of an upload.
type Part struct {
	Number   int
	Chunk    Chunk
	ETag     string // without quotes
	Checksum string // "" for none
	At       time.Time
}

// AddUpload keeps a new upload.
func (db *DB) AddUpload(ctx context.Context, u Upload) error {
	headers, err := json.Marshal(u.Headers)
	if err != nil {
		return fmt.Errorf("encode headers of upload %s: %w", u.ID, err)
	}
	return db.Update(ctx, func(q Querier) error {
		_, err := q.Exec(ctx, `INSERT INTO uploads (id, bucket, key, headers, owner, started) VALUES ($1, $2, $3, $4, $5, $6)`,
			u.ID, u.Bucket, u.Key, string(headers), u.Owner, sortableTime(u.Started))
		if err != nil {
			return fmt.Errorf("save upload %s: %w", u.ID, err)
		}
		return nil
	})
}

// Upload loads one upload. The error is ErrNotFound when there is none.
func (db *DB) Upload(ctx context.Context, id string) (Upload, error) {
	found, err := db.uploads(ctx, `WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("upload %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Upload{}, err
	}
	return found[0], nil
}

// Uploads lists the uploads to a bucket in the order of their keys, then of
// their ids, at most limit of those after key and id.
func (db *DB) Uploads(ctx context.Context, bucket, prefix, key, id string, limit int) ([]Upload, error) {
	return db.uploads(ctx, `WHERE bucket = $1 AND substr(key, 1, length($2)) = $2 AND (key > $3 OR key = $3 AND id > $4) ORDER BY key, id LIMIT $5`, bucket, prefix, key, id, limit)
}

// UploadsBefore lists the uploads that were begun before then.
func (db *DB) UploadsBefore(ctx context.Context, then time.Time) ([]Upload, error) {
	return db.uploads(ctx, `WHERE started < $1`, sortableTime(then))
}

func (db *DB) uploads(ctx context.Context, where string, args ...any) (found []Upload, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT id, bucket, key, headers, owner, started FROM uploads `+where, args...)
		if err != nil {
			return fmt.Errorf("list uploads: %w", err)
		}
		found, err = scanAll(rows, func() (u Upload, err error) {
			var headers, started string
			if err := rows.Scan(&u.ID, &u.Bucket, &u.Key, &headers, &u.Owner, &started); err != nil {
				return u, err
			}
			if err := json.Unmarshal([]byte(headers), &u.Headers); err != nil {
				return u, fmt.Errorf("headers of upload %s: %w", u.ID, err)
			}
			u.Started, err = time.Parse(time.RFC3339, started)
			return u, err
		})
		return err
	})
	return found, err
}

// PutPart keeps a part, in place of the one that had its number, whose chunk it
// returns, if there was one. The error is ErrNotFound when the upload is over.
func (db *DB) PutPart(ctx context.Context, upload string, p Part) (before []Chunk, err error) {
	err = db.Update(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT digest, size FROM upload_parts WHERE upload = $1 AND number = $2`, upload, p.Number)
		if err != nil {
			return fmt.Errorf("load part %d of upload %s: %w", p.Number, upload, err)
		}
		if before, err = scanAll(rows, func() (c Chunk, err error) { return c, rows.Scan(&c.Digest, &c.Size) }); err != nil {
			return err
		}
		kept, err := q.Exec(ctx, `INSERT INTO upload_parts (upload, number, digest, size, etag, checksum, at) SELECT id, $2, $3, $4, $5, $6, $7 FROM uploads WHERE id = $1
			ON CONFLICT (upload, number) DO UPDATE SET digest = excluded.digest, size = excluded.size, etag = excluded.etag, checksum = excluded.checksum, at = excluded.at`,
			upload, p.Number, p.Chunk.Digest, p.Chunk.Size, p.ETag, p.Checksum, sortableTime(p.At))
		if err != nil {
			return fmt.Errorf("save part %d of upload %s: %w", p.Number, upload, err)
		}
		if kept == 0 {
			return fmt.Errorf("upload %s: %w", upload, ErrNotFound)
		}
		return nil
	})
	return before, err
}

// Parts lists the parts of an upload in order.
func (db *DB) Parts(ctx context.Context, upload string) (found []Part, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT number, digest, size, etag, checksum, at FROM upload_parts WHERE upload = $1 ORDER BY number`, upload)
		if err != nil {
			return fmt.Errorf("list parts of upload %s: %w", upload, err)
		}
		found, err = scanAll(rows, func() (p Part, err error) {
			var at string
			if err := rows.Scan(&p.Number, &p.Chunk.Digest, &p.Chunk.Size, &p.ETag, &p.Checksum, &at); err != nil {
				return p, err
			}
			p.At, err = time.Parse(time.RFC3339, at)
			return p, err
		})
		return err
	})
	return found, err
}

// CompleteUpload makes an object of an upload, which is over then. The error is
// ErrNotFound when it was over before.
func (db *DB) CompleteUpload(ctx context.Context, id string, o Object) error {
	return db.Update(ctx, func(q Querier) error {
		if err := removeUpload(ctx, q, id); err != nil {
			return err
		}
		return putObject(ctx, q, o)
	})
}

// RemoveUpload gives an upload up. The error is ErrNotFound when it is over.
func (db *DB) RemoveUpload(ctx context.Context, id string) error {
	return db.Update(ctx, func(q Querier) error { return removeUpload(ctx, q, id) })
}

func removeUpload(ctx context.Context, q Querier, id string) error {
	rows, err := q.Exec(ctx, `DELETE FROM uploads WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("remove upload %s: %w", id, err)
	}
	if rows == 0 {
		return fmt.Errorf("upload %s: %w", id, ErrNotFound)
	}
	return nil
}
