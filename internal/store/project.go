package store

import (
	"context"
	"fmt"
	"time"
)

// Project is a build project as it is kept. What its definition says is none of
// the store's business.
type Project struct {
	Name       string
	Definition []byte // JSON
	Builds     int    // number of the last one
	Created    time.Time
	Updated    time.Time
}

// AddProject keeps a new project. The error is ErrExists when the name is
// taken. Its builds are numbered on from those of an earlier project of that
// name.
func AddProject(ctx context.Context, q Querier, name string, definition []byte, now time.Time) error {
	rows, err := q.Exec(ctx, `INSERT INTO projects (name, definition, builds, batches, created, updated)
		VALUES ($1, $2, (SELECT coalesce(max(number), 0) FROM builds WHERE project = $1 AND batch = 0),
			(SELECT coalesce(max(number), 0) FROM builds WHERE project = $1 AND batch = 1), $3, $3) ON CONFLICT (name) DO NOTHING`,
		name, string(definition), now.UTC().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("save project %s: %w", name, err)
	}
	if rows == 0 {
		return fmt.Errorf("project %s: %w", name, ErrExists)
	}
	return nil
}

// SetProject gives a project another definition. The error is ErrNotFound when
// there is none of that name.
func SetProject(ctx context.Context, q Querier, name string, definition []byte, now time.Time) error {
	rows, err := q.Exec(ctx, `UPDATE projects SET definition = $2, updated = $3 WHERE name = $1`, name, string(definition), now.UTC().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("save project %s: %w", name, err)
	}
	if rows == 0 {
		return fmt.Errorf("project %s: %w", name, ErrNotFound)
	}
	return nil
}

// RemoveProject forgets a project. Its builds stay. The error is ErrNotFound
// when there is none of that name.
func RemoveProject(ctx context.Context, q Querier, name string) error {
	rows, err := q.Exec(ctx, `DELETE FROM projects WHERE name = $1`, name)
	if err != nil {
		return fmt.Errorf("remove project %s: %w", name, err)
	}
	if rows == 0 {
		return fmt.Errorf("project %s: %w", name, ErrNotFound)
	}
	return nil
}

// GetProject loads one project within a transaction of the caller's. The error
// is ErrNotFound when there is none of that name.
func GetProject(ctx context.Context, q Querier, name string) (Project, error) {
	found, err := getProjects(ctx, q, `WHERE name = $1`, name)
	if err != nil {
		return Project{}, err
	}
	if len(found) == 0 {
		return Project{}, fmt.Errorf("project %s: %w", name, ErrNotFound)
	}
	return found[0], nil
}

// Project loads one project. The error is ErrNotFound when there is none of
// that name.
func (db *DB) Project(ctx context.Context, name string) (p Project, err error) {
	err = db.View(ctx, func(q Querier) error {
		p, err = GetProject(ctx, q, name)
		return err
	})
	return p, err
}

// Projects lists all projects by name.
func (db *DB) Projects(ctx context.Context) (found []Project, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getProjects(ctx, q, ``)
		return err
	})
	return found, err
}

func getProjects(ctx context.Context, q Querier, where string, args ...any) ([]Project, error) {
	rows, err := q.Query(ctx, `SELECT name, definition, builds, created, updated FROM projects `+where+` ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	return scanAll(rows, func() (p Project, err error) {
		var created, updated string
		if err := rows.Scan(&p.Name, &p.Definition, &p.Builds, &created, &updated); err != nil {
			return p, err
		}
		if p.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return p, err
		}
		p.Updated, err = time.Parse(time.RFC3339, updated)
		return p, err
	})
}
