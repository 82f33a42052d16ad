package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// CustomActionType is a type of actions that programs outside of Towline work
// on. What its definition says is none of the store's business.
type CustomActionType struct {
	Type       pipeline.ActionType // Owner is Custom
	Definition json.RawMessage
	Created    time.Time
}

// AddActionType keeps a new type. The error is ErrExists when there is one of
// that category, provider and version, or was.
func (db *DB) AddActionType(ctx context.Context, t CustomActionType) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `INSERT INTO action_types (category, provider, version, definition, created) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (category, provider, version) DO NOTHING`,
			string(t.Type.Category), t.Type.Provider, t.Type.Version, string(t.Definition), t.Created.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("save action type %s: %w", t.Type, err)
		}
		if rows == 0 {
			return fmt.Errorf("action type %s, version %s: %w", t.Type, t.Type.Version, ErrExists)
		}
		return nil
	})
}

// ActionTypes lists the types that have not been deleted.
func (db *DB) ActionTypes(ctx context.Context) (found []CustomActionType, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT category, provider, version, definition, created FROM action_types WHERE deleted IS NULL ORDER BY category, provider, version`)
		if err != nil {
			return fmt.Errorf("list action types: %w", err)
		}
		found, err = scanAll(rows, func() (t CustomActionType, err error) {
			var definition []byte
			var created string
			t.Type.Owner = "Custom"
			if err := rows.Scan(&t.Type.Category, &t.Type.Provider, &t.Type.Version, &definition, &created); err != nil {
				return t, err
			}
			t.Definition = definition
			t.Created, err = time.Parse(time.RFC3339, created)
			return t, err
		})
		return err
	})
	return found, err
}

// RemoveActionType deletes a type. The error is ErrNotFound when there is none.
func (db *DB) RemoveActionType(ctx context.Context, t pipeline.ActionType, now time.Time) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `UPDATE action_types SET deleted = $4 WHERE category = $1 AND provider = $2 AND version = $3 AND deleted IS NULL`,
			string(t.Category), t.Provider, t.Version, now.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("delete action type %s: %w", t, err)
		}
		if rows == 0 {
			return fmt.Errorf("action type %s, version %s: %w", t, t.Version, ErrNotFound)
		}
		return nil
	})
}
