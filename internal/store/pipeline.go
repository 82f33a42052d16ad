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

// Definition is a pipeline as it was last pushed.
type Definition struct {
	Pipeline   pipeline.Pipeline `json:"pipeline"`
	Repository string            `json:"repository"`
	Executions int               `json:"executions"` // number of the last one
	Updated    time.Time         `json:"updated"`
}

// PutPipeline writes the definition of a pipeline. Its version grows when it
// differs from the one that is there. A name that another repository uses is
// refused.
func PutPipeline(ctx context.Context, q Querier, p pipeline.Pipeline, repository string, now time.Time) error {
	old, err := getPipelines(ctx, q, `WHERE name = $1`, p.Name)
	if err != nil {
		return err
	}
	p.Version = 1
	if len(old) > 0 {
		if old[0].Repository != repository {
			return fmt.Errorf("pipeline %s belongs to repository %s: choose another name in towline.yaml", p.Name, old[0].Repository)
		}
		p.Version = old[0].Pipeline.Version
		if !equal(old[0].Pipeline, p) {
			p.Version++
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode pipeline %s: %w", p.Name, err)
	}
	_, err = q.Exec(ctx, `INSERT INTO pipelines (name, repository, definition, version, updated) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, version = excluded.version, updated = excluded.updated`,
		p.Name, repository, string(text), p.Version, now.UTC().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("save pipeline %s: %w", p.Name, err)
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
	rows, err := q.Query(ctx, `SELECT definition, repository, executions, updated FROM pipelines `+where+` ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	return scanAll(rows, func() (d Definition, err error) {
		var text []byte
		var updated string
		if err := rows.Scan(&text, &d.Repository, &d.Executions, &updated); err != nil {
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
