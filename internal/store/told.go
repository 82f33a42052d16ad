package store

import (
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// tellLast is how many of the last executions of a pipeline are looked at for
// what their forge is to be told: a commit that so many have followed interests
// nobody.
const tellLast = 50

// Untold lists the executions of a repository's pipelines whose status their
// forge has not been told, of those that were started at since or later.
func (db *DB) Untold(ctx context.Context, repository string, since time.Time) (found []pipeline.Execution, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT e.state FROM pipelines p JOIN executions e ON e.pipeline = p.name AND e.number > p.executions - $2
			WHERE p.repository = $1 AND p.deleted IS NULL AND e.told <> e.status ORDER BY e.pipeline, e.number`, repository, tellLast)
		if err != nil {
			return fmt.Errorf("list executions of %s that are to be told: %w", repository, err)
		}
		all, err := scanExecutions(rows)
		for _, e := range all {
			if !e.Started.Before(since) {
				found = append(found, e)
			}
		}
		return err
	})
	return found, err
}

// SetTold records which status of an execution its forge has been told.
func (db *DB) SetTold(ctx context.Context, id string, status pipeline.ExecutionStatus) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `UPDATE executions SET told = $2 WHERE id = $1`, id, string(status)); err != nil {
			return fmt.Errorf("save what was told of %s: %w", id, err)
		}
		return nil
	})
}
