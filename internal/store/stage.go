package store

import (
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// latest are the executions that entered each stage of a pipeline last.
func latest(ctx context.Context, q Querier, name string) (map[string]string, error) {
	rows, err := q.Query(ctx, `SELECT stage, latest FROM stages WHERE pipeline = $1`, name)
	if err != nil {
		return nil, fmt.Errorf("list stages of %s: %w", name, err)
	}
	found := map[string]string{}
	_, err = scanAll(rows, func() (struct{}, error) {
		var stage, id string
		err := rows.Scan(&stage, &id)
		found[stage] = id
		return struct{}{}, err
	})
	return found, err
}

// Latest are the executions that entered each stage of a pipeline last, by the
// stage's name.
func (db *DB) Latest(ctx context.Context, name string) (found map[string]string, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = latest(ctx, q, name)
		return err
	})
	return found, err
}

// SetLatest records which execution has entered a stage last.
func SetLatest(ctx context.Context, q Querier, name, stage, id string) error {
	_, err := q.Exec(ctx, `INSERT INTO stages (pipeline, stage, latest) VALUES ($1, $2, $3)
		ON CONFLICT (pipeline, stage) DO UPDATE SET latest = excluded.latest`, name, stage, id)
	if err != nil {
		return fmt.Errorf("save stage %s of %s: %w", stage, name, err)
	}
	return nil
}

// SetSucceeded records which execution has succeeded in a stage last.
func SetSucceeded(ctx context.Context, q Querier, name, stage, id string) error {
	_, err := q.Exec(ctx, `UPDATE stages SET succeeded = $3 WHERE pipeline = $1 AND stage = $2`, name, stage, id)
	if err != nil {
		return fmt.Errorf("save stage %s of %s: %w", stage, name, err)
	}
	return nil
}

// GetSucceeded is the execution that has succeeded in a stage last. The error
// is ErrNotFound when there is none.
func GetSucceeded(ctx context.Context, q Querier, name, stage string) (string, error) {
	rows, err := q.Query(ctx, `SELECT succeeded FROM stages WHERE pipeline = $1 AND stage = $2 AND succeeded IS NOT NULL`, name, stage)
	if err != nil {
		return "", fmt.Errorf("read stage %s of %s: %w", stage, name, err)
	}
	var id string
	if err := scanOne(rows, &id); err != nil {
		return "", fmt.Errorf("execution that succeeded in stage %s of %s: %w", stage, name, err)
	}
	return id, nil
}

// Transitions lists the closed transitions of a pipeline.
func Transitions(ctx context.Context, q Querier, name string) ([]pipeline.Transition, error) {
	rows, err := q.Query(ctx, `SELECT stage, type, reason, closed_by, at FROM transitions WHERE pipeline = $1 ORDER BY stage, type`, name)
	if err != nil {
		return nil, fmt.Errorf("list transitions of %s: %w", name, err)
	}
	return scanAll(rows, func() (t pipeline.Transition, err error) {
		var at string
		if err := rows.Scan(&t.Stage, &t.Type, &t.Reason, &t.By, &at); err != nil {
			return t, err
		}
		t.At, err = time.Parse(time.RFC3339, at)
		return t, err
	})
}

// Transitions lists the closed transitions of a pipeline.
func (db *DB) Transitions(ctx context.Context, name string) (found []pipeline.Transition, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = Transitions(ctx, q, name)
		return err
	})
	return found, err
}

// SetTransitions replaces the closed transitions of a pipeline.
func SetTransitions(ctx context.Context, q Querier, name string, closed []pipeline.Transition) error {
	if _, err := q.Exec(ctx, `DELETE FROM transitions WHERE pipeline = $1`, name); err != nil {
		return fmt.Errorf("save transitions of %s: %w", name, err)
	}
	for _, t := range closed {
		_, err := q.Exec(ctx, `INSERT INTO transitions (pipeline, stage, type, reason, closed_by, at) VALUES ($1, $2, $3, $4, $5, $6)`,
			name, t.Stage, string(t.Type), t.Reason, t.By, t.At.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("save transition of stage %s of %s: %w", t.Stage, name, err)
		}
	}
	return nil
}
