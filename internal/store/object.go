package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// ArtifactBucket is the bucket that has the artifacts of executions.
const ArtifactBucket = "towline-artifacts"

// Object is a file as AWS's clients know it: a key in a bucket and its bytes.
type Object struct {
	Bucket string
	Key    string
	Size   int64
	ETag   string // without quotes
	// Headers are answered as they were given, by their canonical names.
	Headers  map[string]string
	Modified time.Time
	// Artifact is the digest of an execution's artifact, whose bytes lie with
	// the artifacts. Of other objects it is "", and the bytes are in Chunks.
	Artifact string
	Chunks   []Chunk
}

// Chunk is one run of bytes of an object.
type Chunk struct {
	Digest string // sha256:hex
	Size   int64
}

// ErrBusy is what cannot be removed while something is in it.
var ErrBusy = errors.New("it is not empty")

// ArtifactKey is the key of an execution's artifact in the ArtifactBucket.
func ArtifactKey(pipelineName string, a pipeline.Artifact) string {
	hex := strings.TrimPrefix(a.Digest, "sha256:")
	return pipelineName + "/" + a.Name + "/" + hex[:min(12, len(hex))]
}

// AddArtifact keeps an object of the ArtifactBucket for an artifact. One that is
// there stays as it is, for the key is made of the bytes.
func AddArtifact(ctx context.Context, q Querier, pipelineName string, a pipeline.Artifact, at time.Time) error {
	hex := strings.TrimPrefix(a.Digest, "sha256:")
	_, err := q.Exec(ctx, `INSERT INTO objects (bucket, key, size, etag, headers, modified, artifact) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (bucket, key) DO NOTHING`,
		ArtifactBucket, ArtifactKey(pipelineName, a), a.Size, hex[:min(32, len(hex))]+"-1", `{"Content-Type":"application/zip"}`, sortableTime(at), a.Digest)
	if err != nil {
		return fmt.Errorf("save artifact %s of %s: %w", a.Name, pipelineName, err)
	}
	return nil
}

// PutObject keeps an object, in place of the one that had its key.
func (db *DB) PutObject(ctx context.Context, o Object) error {
	return db.Update(ctx, func(q Querier) error { return putObject(ctx, q, o) })
}

func putObject(ctx context.Context, q Querier, o Object) error {
	place := o.Bucket + "/" + o.Key
	headers, err := json.Marshal(o.Headers)
	if err != nil {
		return fmt.Errorf("encode headers of object %s: %w", place, err)
	}
	if _, err := q.Exec(ctx, `DELETE FROM objects WHERE bucket = $1 AND key = $2`, o.Bucket, o.Key); err != nil {
		return fmt.Errorf("save object %s: %w", place, err)
	}
	rows, err := q.Query(ctx, `INSERT INTO objects (bucket, key, size, etag, headers, modified, artifact) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		o.Bucket, o.Key, o.Size, o.ETag, string(headers), sortableTime(o.Modified), o.Artifact)
	if err != nil {
		return fmt.Errorf("save object %s: %w", place, err)
	}
	var id int64
	if err := scanOne(rows, &id); err != nil {
		return fmt.Errorf("save object %s: %w", place, err)
	}
	for i, c := range o.Chunks {
		if _, err := q.Exec(ctx, `INSERT INTO object_chunks (object, position, digest, size) VALUES ($1, $2, $3, $4)`, id, i, c.Digest, c.Size); err != nil {
			return fmt.Errorf("save object %s: %w", place, err)
		}
	}
	return nil
}

// Object loads one object. The error is ErrNotFound when there is none.
func (db *DB) Object(ctx context.Context, bucket, key string) (o Object, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT id, bucket, key, size, etag, headers, modified, artifact FROM objects WHERE bucket = $1 AND key = $2`, bucket, key)
		if err != nil {
			return fmt.Errorf("load object %s/%s: %w", bucket, key, err)
		}
		found, err := scanObjects(rows)
		if err == nil && len(found) == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("object %s/%s: %w", bucket, key, err)
		}
		o = found[0].Object
		if rows, err = q.Query(ctx, `SELECT digest, size FROM object_chunks WHERE object = $1 ORDER BY position`, found[0].id); err != nil {
			return fmt.Errorf("load object %s/%s: %w", bucket, key, err)
		}
		o.Chunks, err = scanAll(rows, func() (c Chunk, err error) { return c, rows.Scan(&c.Digest, &c.Size) })
		return err
	})
	return o, err
}

// Objects lists objects of a bucket in the order of their keys, without their
// chunks: at most limit of those whose keys begin with prefix and are not before
// from.
func (db *DB) Objects(ctx context.Context, bucket, prefix, from string, limit int) (found []Object, err error) {
	// No text has the byte 0xff, so that this is beyond all keys of the prefix.
	from, beyond := max(from, prefix), prefix+"\xff"
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT id, bucket, key, size, etag, headers, modified, artifact FROM objects
			WHERE bucket = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4`, bucket, from, beyond, limit)
		if err != nil {
			return fmt.Errorf("list objects of %s: %w", bucket, err)
		}
		all, err := scanObjects(rows)
		for _, o := range all {
			found = append(found, o.Object)
		}
		return err
	})
	return found, err
}

// numbered is an object with its row's id.
type numbered struct {
	Object
	id int64
}

func scanObjects(rows Rows) ([]numbered, error) {
	return scanAll(rows, func() (o numbered, err error) {
		var headers, modified string
		if err := rows.Scan(&o.id, &o.Bucket, &o.Key, &o.Size, &o.ETag, &headers, &modified, &o.Artifact); err != nil {
			return o, err
		}
		if err := json.Unmarshal([]byte(headers), &o.Headers); err != nil {
			return o, fmt.Errorf("headers of object %s/%s: %w", o.Bucket, o.Key, err)
		}
		o.Modified, err = time.Parse(time.RFC3339, modified)
		return o, err
	})
}

// RemoveObject forgets an object. One that is
// not there is no error.
func (db *DB) RemoveObject(ctx context.Context, bucket, key string) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `DELETE FROM objects WHERE bucket = $1 AND key = $2`, bucket, key); err != nil {
			return fmt.Errorf("remove object %s/%s: %w", bucket, key, err)
		}
		return nil
	})
}

// Unused tells which of these digests no object and no upload has any more.
func (db *DB) Unused(ctx context.Context, digests []string) (unused []string, err error) {
	err = db.View(ctx, func(q Querier) error {
		for _, digest := range digests {
			rows, err := q.Query(ctx, `SELECT 1 FROM object_chunks WHERE digest = $1 UNION ALL SELECT 1 FROM upload_parts WHERE digest = $1 LIMIT 1`, digest)
			if err != nil {
				return fmt.Errorf("look who has %s: %w", digest, err)
			}
			used := rows.Next()
			if err := rows.Close(); err != nil {
				return err
			}
			if !used {
				unused = append(unused, digest)
			}
		}
		return nil
	})
	return unused, err
}
