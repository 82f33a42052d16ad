package store

import (
	"context"
	"maps"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// PipelineState is how a pipeline stands, in one view: its definition, its
// executions that have not ended and those that entered a stage last, oldest
// first, and its closed transitions. The error is ErrNotFound when there is no
// such pipeline.
func (db *DB) PipelineState(ctx context.Context, name string) (d Definition, s pipeline.State, err error) {
	err = db.View(ctx, func(q Querier) error {
		if d, err = GetPipeline(ctx, q, name); err != nil {
			return err
		}
		last, err := latest(ctx, q, name)
		if err != nil {
			return err
		}
		about := slices.Compact(slices.Sorted(maps.Values(last)))
		s, err = State(ctx, q, name, about...)
		return err
	})
	return d, s, err
}

// State loads what the state machine knows of a pipeline: see the function
// State.
func (db *DB) State(ctx context.Context, name string) (s pipeline.State, err error) {
	err = db.View(ctx, func(q Querier) error {
		s, err = State(ctx, q, name)
		return err
	})
	return s, err
}
