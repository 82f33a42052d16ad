package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Function is a function as it is kept. What its settings say is none of the
// store's business; what may be secret of them is sealed.
type Function struct {
	Name     string
	Revision int    // from 1, counted by PutFunction
	Settings []byte // JSON
	Sealed   []byte // nil for nothing
	Code     string // digest
	Size     int64
	Created  time.Time
	Updated  time.Time
}

// PutFunction keeps a function: a new one, or another revision of the one that
// has the name. The time is Updated. It returns the function as it is kept.
func (db *DB) PutFunction(ctx context.Context, f Function) (kept Function, err error) {
	err = db.Update(ctx, func(q Querier) error {
		_, err := q.Exec(ctx, `INSERT INTO functions (name, revision, settings, sealed, code, size, created, updated) VALUES ($1, 1, $2, $3, $4, $5, $6, $6)
			ON CONFLICT (name) DO UPDATE SET revision = functions.revision + 1, settings = excluded.settings, sealed = excluded.sealed,
			code = excluded.code, size = excluded.size, updated = excluded.updated`,
			f.Name, string(f.Settings), f.Sealed, f.Code, f.Size, f.Updated.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("save function %s: %w", f.Name, err)
		}
		found, err := getFunctions(ctx, q, `WHERE name = $1`, f.Name)
		if err == nil && len(found) == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("save function %s: %w", f.Name, err)
		}
		kept = found[0]
		return nil
	})
	return kept, err
}

// Function loads one function. The error is ErrNotFound when there is none.
func (db *DB) Function(ctx context.Context, name string) (Function, error) {
	found, err := db.functions(ctx, `WHERE name = $1`, name)
	if err != nil {
		return Function{}, err
	}
	if len(found) == 0 {
		return Function{}, fmt.Errorf("function %s: %w", name, ErrNotFound)
	}
	return found[0], nil
}

// Functions lists all functions by name.
func (db *DB) Functions(ctx context.Context) ([]Function, error) { return db.functions(ctx, ``) }

// DeleteFunction forgets a function. The error is ErrNotFound when there is
// none.
func (db *DB) DeleteFunction(ctx context.Context, name string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `DELETE FROM functions WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("delete function %s: %w", name, err)
		}
		if rows == 0 {
			return fmt.Errorf("function %s: %w", name, ErrNotFound)
		}
		return nil
	})
}

// ResealFunctions replaces what is sealed of every function by what reseal
// makes of it, of all or of none. It holds the database's only writer
// meanwhile, so reseal must be quick.
func (db *DB) ResealFunctions(ctx context.Context, reseal func(name string, sealed []byte) ([]byte, error)) error {
	return db.Update(ctx, func(q Querier) error {
		found, err := getFunctions(ctx, q, `WHERE sealed IS NOT NULL`)
		if err != nil {
			return err
		}
		for _, f := range found {
			sealed, err := reseal(f.Name, f.Sealed)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE functions SET sealed = $2 WHERE name = $1`, f.Name, sealed); err != nil {
				return fmt.Errorf("save function %s: %w", f.Name, err)
			}
		}
		return nil
	})
}

func (db *DB) functions(ctx context.Context, where string, args ...any) (found []Function, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getFunctions(ctx, q, where, args...)
		return err
	})
	return found, err
}

func getFunctions(ctx context.Context, q Querier, where string, args ...any) ([]Function, error) {
	rows, err := q.Query(ctx, `SELECT name, revision, settings, sealed, code, size, created, updated FROM functions `+where+` ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	return scanAll(rows, func() (f Function, err error) {
		var created, updated string
		if err := rows.Scan(&f.Name, &f.Revision, &f.Settings, &f.Sealed, &f.Code, &f.Size, &created, &updated); err != nil {
			return f, err
		}
		if f.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return f, err
		}
		f.Updated, err = time.Parse(time.RFC3339, updated)
		return f, err
	})
}

// JobReport is what a function has said of its job.
type JobReport struct {
	Summary   string            `json:"summary,omitempty"`
	External  string            `json:"external,omitempty"` // id of what it has started elsewhere
	Percent   int               `json:"percent,omitempty"`  // that are done
	Variables map[string]string `json:"variables,omitempty"`
	Failure   string            `json:"failure,omitempty"`
}

// OpenJob keeps a new job of a function, or returns the one of that id as it
// is.
func (db *DB) OpenJob(ctx context.Context, job Job) (kept Job, err error) {
	err = db.Update(ctx, func(q Querier) error {
		_, err := q.Exec(ctx, `INSERT INTO jobs (id, execution, stage, attempt, action, function, status, nonce, at) VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8)
			ON CONFLICT (id) DO NOTHING`,
			job.ID, job.Execution, job.Stage, job.Attempt, job.Action, job.Function, string(job.Status), job.At.UTC().Format(time.RFC3339Nano))
		if err != nil {
			return fmt.Errorf("save job %s: %w", job.ID, err)
		}
		kept, err = getJob(ctx, q, job.ID)
		return err
	})
	return kept, err
}

// ReportJob gives a job another status, continuation and report, if it has
// still the status and the nonce that it had. It is not ok when it has not.
func (db *DB) ReportJob(ctx context.Context, was, is Job) (ok bool, err error) {
	report, err := json.Marshal(is.Report)
	if err != nil {
		return false, fmt.Errorf("save job %s: %w", was.ID, err)
	}
	err = db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `UPDATE jobs SET status = $4, continuation = $5, report = $6, at = $7 WHERE id = $1 AND status = $2 AND nonce = $3`,
			was.ID, string(was.Status), was.Nonce, string(is.Status), is.Continuation, string(report), is.At.UTC().Format(time.RFC3339Nano))
		if err != nil {
			return fmt.Errorf("save job %s: %w", was.ID, err)
		}
		ok = rows > 0
		return nil
	})
	return ok, err
}
