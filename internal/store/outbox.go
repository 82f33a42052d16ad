package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// AddChanges puts what a transaction has changed into the outbox, in that very
// transaction: it is told if and only if it has happened. It costs nothing but
// a look when there is nobody to tell. Artifacts that were made can be read as
// objects from then on.
func AddChanges(ctx context.Context, q Querier, set pipeline.ChangeSet) error {
	if len(set.Changes) == 0 {
		return nil
	}
	for _, change := range set.Changes {
		for _, made := range change.Outputs {
			if err := AddArtifact(ctx, q, set.Pipeline, made, set.At); err != nil {
				return err
			}
		}
	}
	told, err := q.Query(ctx, `SELECT 1 FROM subscriptions LIMIT 1`)
	if err != nil {
		return fmt.Errorf("look who is to be told: %w", err)
	}
	somebody := told.Next()
	if err := told.Close(); err != nil || !somebody {
		return err
	}
	text, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode the changes of %s: %w", set.Execution, err)
	}
	if _, err := q.Exec(ctx, `INSERT INTO outbox (changes) VALUES ($1)`, string(text)); err != nil {
		return fmt.Errorf("put the changes of %s into the outbox: %w", set.Execution, err)
	}
	return nil
}

// ShareOut takes up to limit sets of changes out of the outbox, oldest first,
// and puts in what share makes of each for the notifications that are there: all
// of it or nothing. It returns how many sets it took.
func (db *DB) ShareOut(ctx context.Context, limit int, share func([]Notification, pipeline.ChangeSet) ([]Notice, error)) (taken int, err error) {
	waiting, err := db.outboxWaits(ctx)
	if err != nil || !waiting {
		return 0, err
	}
	err = db.Update(ctx, func(q Querier) error {
		all, err := getNotifications(ctx, q, ``)
		if err != nil {
			return err
		}
		sets, last, err := outbox(ctx, q, limit)
		if err != nil {
			return err
		}
		for _, set := range sets {
			notices, err := share(all, set)
			if err != nil {
				return err
			}
			for _, n := range notices {
				if err := addNotice(ctx, q, n); err != nil {
					return err
				}
			}
		}
		if _, err := q.Exec(ctx, `DELETE FROM outbox WHERE id <= $1`, last); err != nil {
			return fmt.Errorf("empty the outbox: %w", err)
		}
		taken = len(sets)
		return nil
	})
	return taken, err
}

// outboxWaits looks without holding up the writer.
func (db *DB) outboxWaits(ctx context.Context) (waiting bool, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT 1 FROM outbox LIMIT 1`)
		if err != nil {
			return fmt.Errorf("look into the outbox: %w", err)
		}
		waiting = rows.Next()
		return rows.Close()
	})
	return waiting, err
}

// outbox reads sets of changes, oldest first, and the id of the last one.
func outbox(ctx context.Context, q Querier, limit int) (sets []pipeline.ChangeSet, last int64, err error) {
	rows, err := q.Query(ctx, `SELECT id, changes FROM outbox ORDER BY id LIMIT $1`, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("read the outbox: %w", err)
	}
	sets, err = scanAll(rows, func() (set pipeline.ChangeSet, err error) {
		var text []byte
		if err := rows.Scan(&last, &text); err != nil {
			return set, err
		}
		return set, json.Unmarshal(text, &set)
	})
	return sets, last, err
}
