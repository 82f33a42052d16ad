package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// unfinished picks the executions that have not ended, as an index does.
const unfinished = `status IN ('InProgress', 'Stopping')`

// StateAlone is State for an execution that does not regard others, as those
// that run in parallel: without them and the transitions. The execution is nil
// when it is to be begun.
func StateAlone(ctx context.Context, q Querier, name string, e *pipeline.Execution) (s pipeline.State, err error) {
	if e != nil {
		return pipeline.State{Executions: []pipeline.Execution{*e}}, nil
	}
	rows, err := q.Query(ctx, `SELECT count(*) FROM executions WHERE pipeline = $1 AND `+unfinished, name)
	if err != nil {
		return s, fmt.Errorf("count executions of %s: %w", name, err)
	}
	return s, scanOne(rows, &s.Others)
}

// State loads what the state machine needs to know of a pipeline: the
// executions that have not ended and those that an event is about, oldest
// first, and its stages and transitions.
func State(ctx context.Context, q Querier, name string, about ...string) (s pipeline.State, err error) {
	rows, err := q.Query(ctx, `SELECT state FROM executions WHERE pipeline = $1 AND `+unfinished+` ORDER BY number`, name)
	if err != nil {
		return s, fmt.Errorf("load state of %s: %w", name, err)
	}
	if s.Executions, err = scanExecutions(rows); err != nil {
		return s, err
	}
	for _, id := range about {
		if slices.ContainsFunc(s.Executions, func(e pipeline.Execution) bool { return e.ID == id }) {
			continue
		}
		e, err := GetExecution(ctx, q, id)
		if err != nil {
			return s, err
		}
		s.Executions = append(s.Executions, e)
		slices.SortFunc(s.Executions, func(a, b pipeline.Execution) int { return cmp.Compare(a.Number, b.Number) })
	}
	if s.Latest, err = latest(ctx, q, name); err != nil {
		return s, err
	}
	s.Disabled, err = Transitions(ctx, q, name)
	return s, err
}

// SaveExecution writes one execution, new or changed, and how its pipeline
// stands with it.
func SaveExecution(ctx context.Context, q Querier, e pipeline.Execution) error {
	state, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode execution %s: %w", e.ID, err)
	}
	var due any
	if at := e.Due(); !at.IsZero() && !e.Done() {
		due = at.UTC().Format(time.RFC3339)
	}
	_, err = q.Exec(ctx, `INSERT INTO executions (id, pipeline, number, status, state, due) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, state = excluded.state, due = excluded.due`,
		e.ID, e.Pipeline, e.Number, string(e.Status), string(state), due)
	if err != nil {
		return fmt.Errorf("save execution %s: %w", e.ID, err)
	}
	return saveStanding(ctx, q, e)
}

// goBack is how many executions are looked at for one to go back to.
const goBack = 500

// ExecutionsBefore lists the executions of a pipeline with a lower number,
// newest first.
func ExecutionsBefore(ctx context.Context, q Querier, name string, number int) ([]pipeline.Execution, error) {
	rows, err := q.Query(ctx, `SELECT state FROM executions WHERE pipeline = $1 AND number < $2 ORDER BY number DESC LIMIT $3`, name, number, goBack)
	if err != nil {
		return nil, fmt.Errorf("list executions of %s: %w", name, err)
	}
	return scanExecutions(rows)
}

// Due lists the executions in which somebody outside has been waited for until
// now.
func (db *DB) Due(ctx context.Context, now time.Time) (found []pipeline.Execution, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT state FROM executions WHERE due IS NOT NULL AND due <= $1`, now.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("list executions whose time is over: %w", err)
		}
		found, err = scanExecutions(rows)
		return err
	})
	return found, err
}

// NextNumber counts one more execution of a pipeline and returns its number.
func NextNumber(ctx context.Context, q Querier, name string) (int, error) {
	changed, err := q.Exec(ctx, `UPDATE pipelines SET executions = executions + 1 WHERE name = $1`, name)
	if err != nil {
		return 0, fmt.Errorf("number an execution of %s: %w", name, err)
	}
	if changed == 0 {
		return 0, fmt.Errorf("pipeline %s: %w", name, ErrNotFound)
	}
	rows, err := q.Query(ctx, `SELECT executions FROM pipelines WHERE name = $1`, name)
	if err != nil {
		return 0, fmt.Errorf("number an execution of %s: %w", name, err)
	}
	var number int
	return number, scanOne(rows, &number)
}

// GetExecution loads one execution within a transaction of the caller's.
func GetExecution(ctx context.Context, q Querier, id string) (pipeline.Execution, error) {
	rows, err := q.Query(ctx, `SELECT state FROM executions WHERE id = $1`, id)
	if err != nil {
		return pipeline.Execution{}, fmt.Errorf("load execution %s: %w", id, err)
	}
	found, err := scanExecutions(rows)
	if err != nil {
		return pipeline.Execution{}, err
	}
	if len(found) == 0 {
		return pipeline.Execution{}, fmt.Errorf("execution %s: %w", id, ErrNotFound)
	}
	return found[0], nil
}

// Execution loads one execution. The error is ErrNotFound when there is none.
func (db *DB) Execution(ctx context.Context, id string) (e pipeline.Execution, err error) {
	err = db.View(ctx, func(q Querier) error {
		e, err = GetExecution(ctx, q, id)
		return err
	})
	return e, err
}

// Executions lists a pipeline's executions, newest first, at most limit. Those
// with a number from before on are left out unless before is 0.
func (db *DB) Executions(ctx context.Context, name string, before, limit int) (found []pipeline.Execution, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT state FROM executions WHERE pipeline = $1 AND ($2 = 0 OR number < $2) ORDER BY number DESC LIMIT $3`, name, before, limit)
		if err != nil {
			return fmt.Errorf("list executions of %s: %w", name, err)
		}
		found, err = scanExecutions(rows)
		return err
	})
	return found, err
}

// Unfinished lists the executions of all pipelines that have not ended.
func (db *DB) Unfinished(ctx context.Context) (found []pipeline.Execution, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT state FROM executions WHERE `+unfinished+` ORDER BY pipeline, number`)
		if err != nil {
			return fmt.Errorf("list unfinished executions: %w", err)
		}
		found, err = scanExecutions(rows)
		return err
	})
	return found, err
}

func scanExecutions(rows Rows) ([]pipeline.Execution, error) {
	return scanAll(rows, func() (e pipeline.Execution, err error) {
		var state []byte
		if err := rows.Scan(&state); err != nil {
			return e, err
		}
		return e, json.Unmarshal(state, &e)
	})
}

// scanAll reads rows to their end, whatever one row becomes, and closes them.
func scanAll[T any](rows Rows, scan func() (T, error)) (found []T, err error) {
	defer func() {
		if closed := rows.Close(); err == nil {
			err = closed
		}
	}()
	for rows.Next() {
		one, err := scan()
		if err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// scanOne reads the first row. Without one the error is ErrNotFound.
func scanOne(rows Rows, dest ...any) error {
	found, err := scanAll(rows, func() (struct{}, error) { return struct{}{}, rows.Scan(dest...) })
	if err == nil && len(found) == 0 {
		return ErrNotFound
	}
	return err
}
