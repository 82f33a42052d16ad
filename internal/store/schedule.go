package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// GetScheduled is the last time of a schedule that has been acted on, zero
// before the first.
func GetScheduled(ctx context.Context, q Querier, name, schedule string) (time.Time, error) {
	rows, err := q.Query(ctx, `SELECT last FROM schedules WHERE pipeline = $1 AND schedule = $2`, name, schedule)
	if err != nil {
		return time.Time{}, fmt.Errorf("read schedule of pipeline %s: %w", name, err)
	}
	var last string
	if err := scanOne(rows, &last); errors.Is(err, ErrNotFound) {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, last)
}

// SetScheduled records the last time of a schedule that has been acted on.
func SetScheduled(ctx context.Context, q Querier, name, schedule string, last time.Time) error {
	_, err := q.Exec(ctx, `INSERT INTO schedules (pipeline, schedule, last) VALUES ($1, $2, $3)
		ON CONFLICT (pipeline, schedule) DO UPDATE SET last = excluded.last`, name, schedule, last.UTC().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("save schedule of pipeline %s: %w", name, err)
	}
	return nil
}
