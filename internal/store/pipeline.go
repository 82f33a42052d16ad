package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Definition is a pipeline as it was last pushed, or defined through the API.
type Definition struct {
	Pipeline pipeline.Pipeline `json:"pipeline"`
	// Repository holds the pipeline's towline.yaml; "" when it was defined
	// through the API.
	Repository string    `json:"repository"`
	Executions int       `json:"executions"` // number of the last one
	Created    time.Time `json:"created"`
	Updated    time.Time `json:"updated"`
}

// ErrNameInUse is returned for a pipeline whose name belongs to another one.
var ErrNameInUse = errors.New("name is in use")

// PutPipeline writes the definition of a pipeline. Its version grows when it
// differs from the one that is there. A name that another repository uses is
// refused, as is one that was defined through the API.
func PutPipeline(ctx context.Context, q Querier, p pipeline.Pipeline, repository string, now time.Time) error {
	old, err := getPipelines(ctx, q, `WHERE name = $1`, p.Name)
	if err != nil {
		return err
	}
	if len(old) > 0 && old[0].Repository != repository {
		owner := "repository " + old[0].Repository
		if old[0].Repository == "" {
			owner = "nobody's repository, it was defined through the API"
		}
		return fmt.Errorf("pipeline %s belongs to %s: choose another name: %w", p.Name, owner, ErrNameInUse)
	}
	last, err := lastVersion(ctx, q, p.Name)
	if err != nil {
		return err
	}
	p.Version = last + 1
	if len(old) > 0 {
		p.Version = old[0].Pipeline.Version
		if equal(old[0].Pipeline, p) {
			return nil
		}
		p.Version = last + 1
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode pipeline %s: %w", p.Name, err)
	}
	at := now.UTC().Format(time.RFC3339)
	_, err = q.Exec(ctx, `INSERT INTO pipelines (name, repository, definition, version, created, updated) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (name) DO UPDATE SET repository = excluded.repository, definition = excluded.definition, version = excluded.version,
			created = CASE WHEN deleted IS NULL THEN created ELSE excluded.created END, updated = excluded.updated, deleted = NULL`,
		p.Name, repository, string(text), p.Version, at)
	if err != nil {
		return fmt.Errorf("save pipeline %s: %w", p.Name, err)
	}
	_, err = q.Exec(ctx, `INSERT INTO pipeline_versions (pipeline, version, definition, at) VALUES ($1, $2, $3, $4)`, p.Name, p.Version, string(text), at)
	if err != nil {
		return fmt.Errorf("save version %d of pipeline %s: %w", p.Version, p.Name, err)
	}
	return nil
}

// lastVersion is the highest version that a pipeline of that name has had, or 0.
func lastVersion(ctx context.Context, q Querier, name string) (version int, err error) {
	rows, err := q.Query(ctx, `SELECT coalesce(max(version), 0) FROM pipeline_versions WHERE pipeline = $1`, name)
	if err != nil {
		return 0, fmt.Errorf("list versions of pipeline %s: %w", name, err)
	}
	return version, scanOne(rows, &version)
}

// PipelineVersion loads a pipeline as it was in an earlier version. The error is
// ErrNotFound when there is none.
func (db *DB) PipelineVersion(ctx context.Context, name string, version int) (d Definition, err error) {
	err = db.View(ctx, func(q Querier) error {
		if d, err = GetPipeline(ctx, q, name); err != nil || d.Pipeline.Version == version {
			return err
		}
		rows, err := q.Query(ctx, `SELECT definition, at FROM pipeline_versions WHERE pipeline = $1 AND version = $2`, name, version)
		if err != nil {
			return fmt.Errorf("load version %d of pipeline %s: %w", version, name, err)
		}
		var text []byte
		var at string
		if err := scanOne(rows, &text, &at); err != nil {
			return fmt.Errorf("version %d of pipeline %s: %w", version, name, err)
		}
		if d.Updated, err = time.Parse(time.RFC3339, at); err != nil {
			return err
		}
		d.Pipeline = pipeline.Pipeline{}
		return json.Unmarshal(text, &d.Pipeline)
	})
	return d, err
}

// DeletePipeline takes a pipeline away. Its executions stay in the database and
// are not listed any more. The error is ErrNotFound when there is none.
func DeletePipeline(ctx context.Context, q Querier, name string, now time.Time) error {
	changed, err := q.Exec(ctx, `UPDATE pipelines SET deleted = $2 WHERE name = $1 AND deleted IS NULL`, name, now.UTC().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("delete pipeline %s: %w", name, err)
	}
	if changed == 0 {
		return fmt.Errorf("pipeline %s: %w", name, ErrNotFound)
	}
	return nil
}

func equal(a, b pipeline.Pipeline) bool {
	left, err := json.Marshal(a)
	if err != nil {
		return false
	}
	right, err := json.Marshal(b)
	return err == nil && bytes.Equal(left, right)
}

// Pipeline loads one pipeline. The error is ErrNotFound when there is none.
func (db *DB) Pipeline(ctx context.Context, name string) (d Definition, err error) {
	err = db.View(ctx, func(q Querier) error {
		d, err = GetPipeline(ctx, q, name)
		return err
	})
	return d, err
}

// GetPipeline loads one pipeline within a transaction of the caller's.
func GetPipeline(ctx context.Context, q Querier, name string) (Definition, error) {
	found, err := getPipelines(ctx, q, `WHERE name = $1`, name)
	if err != nil {
		return Definition{}, err
	}
	if len(found) == 0 {
		return Definition{}, fmt.Errorf("pipeline %s: %w", name, ErrNotFound)
	}
	return found[0], nil
}

// Pipelines lists all pipelines by name.
func (db *DB) Pipelines(ctx context.Context) (found []Definition, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getPipelines(ctx, q, ``)
		return err
	})
	return found, err
}

func getPipelines(ctx context.Context, q Querier, where string, args ...any) ([]Definition, error) {
	rows, err := q.Query(ctx, `SELECT definition, repository, executions, created, updated FROM (SELECT name, definition, repository, executions, created, updated FROM pipelines WHERE deleted IS NULL) `+where+` ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	return scanAll(rows, func() (d Definition, err error) {
		var text []byte
		var created, updated string
		if err := rows.Scan(&text, &d.Repository, &d.Executions, &created, &updated); err != nil {
			return d, err
		}
		if d.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return d, err
		}
		if d.Updated, err = time.Parse(time.RFC3339, updated); err != nil {
			return d, err
		}
		return d, json.Unmarshal(text, &d.Pipeline)
	})
}

// Head is the commit of one branch that has been acted on.
type Head struct{ Repository, Branch, Commit string }

// Heads lists the seen heads of a repository by branch.
func (db *DB) Heads(ctx context.Context, repository string) (map[string]string, error) {
	heads := map[string]string{}
	err := db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT branch, commit_id FROM heads WHERE repository = $1`, repository)
		if err != nil {
			return fmt.Errorf("list heads of %s: %w", repository, err)
		}
		_, err = scanAll(rows, func() (struct{}, error) {
			var branch, commit string
			err := rows.Scan(&branch, &commit)
			heads[branch] = commit
			return struct{}{}, err
		})
		return err
	})
	return heads, err
}

// GetHead is the seen commit of a branch, or "" when it has never been seen.
func GetHead(ctx context.Context, q Querier, repository, branch string) (string, error) {
	rows, err := q.Query(ctx, `SELECT commit_id FROM heads WHERE repository = $1 AND branch = $2`, repository, branch)
	if err != nil {
		return "", fmt.Errorf("read head %s of %s: %w", branch, repository, err)
	}
	var commit string
	if err := scanOne(rows, &commit); !errors.Is(err, ErrNotFound) {
		return commit, err
	}
	return "", nil
}

// SetHead records that a branch's commit has been acted on. An empty commit
// forgets the branch.
func SetHead(ctx context.Context, q Querier, h Head) error {
	query, args := `INSERT INTO heads (repository, branch, commit_id) VALUES ($1, $2, $3)
		ON CONFLICT (repository, branch) DO UPDATE SET commit_id = excluded.commit_id`, []any{h.Repository, h.Branch, h.Commit}
	if h.Commit == "" {
		query, args = `DELETE FROM heads WHERE repository = $1 AND branch = $2`, []any{h.Repository, h.Branch}
	}
	if _, err := q.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("save head %s of %s: %w", h.Branch, h.Repository, err)
	}
	return nil
}
