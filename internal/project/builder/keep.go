package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// keep keeps a build within a transaction.
func keep(ctx context.Context, q store.Querier, b project.Build) error {
	kept, err := stored(b)
	if err != nil {
		return err
	}
	return store.SetBuild(ctx, q, kept)
}

// stored is the build as the store keeps it.
func stored(b project.Build) (store.Build, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return store.Build{}, fmt.Errorf("encode build %s: %w", b.ID, err)
	}
	return store.Build{
		ID: b.ID, Project: b.Project, Number: b.Number, Batch: b.Batch != nil, PartOf: b.PartOf, Status: string(b.Status),
		Ended: b.Done(), Tested: b.Tests != nil, Record: text,
	}, nil
}

func read(stored store.Build) (b project.Build, err error) {
	if err := json.Unmarshal(stored.Record, &b); err != nil {
		return b, fmt.Errorf("read build %s: %w", stored.ID, err)
	}
	return b, nil
}

func readAll(stored []store.Build) ([]project.Build, error) {
	all := make([]project.Build, 0, len(stored))
	for _, one := range stored {
		b, err := read(one)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// load loads a build within a transaction.
func load(ctx context.Context, q store.Querier, id string) (project.Build, error) {
	stored, err := store.GetBuild(ctx, q, id)
	if err != nil {
		return project.Build{}, err
	}
	return read(stored)
}

// loadBatch loads a batch within a transaction. The error is a *project.Error
// of the kind ErrNotFound or ErrInvalid when there is none of that id.
func loadBatch(ctx context.Context, q store.Querier, id string) (project.Build, error) {
	b, err := load(ctx, q, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return project.Build{}, project.Refuse(project.ErrNotFound, "there is no batch of builds %.300q", id)
	case err == nil && b.Batch == nil:
		return project.Build{}, project.Refuse(project.ErrInvalid, "%s is a build, and no batch of builds", id)
	}
	return b, err
}

// save keeps what has become of a build. That somebody wants it to end is never
// forgotten, nor what its groups are, which are kept by the parts of a batch.
func (r *Builder) save(ctx context.Context, b project.Build) error {
	return r.change(context.WithoutCancel(ctx), b.ID, func(kept *project.Build) bool {
		b.Stopping, b.Groups = b.Stopping || kept.Stopping, kept.Groups
		*kept = b
		return true
	})
}

// change changes the record of a build, when the function says so.
func (r *Builder) change(ctx context.Context, id string, change func(*project.Build) bool) error {
	err := r.Store.Update(ctx, func(q store.Querier) error {
		b, err := load(ctx, q, id)
		if err != nil || !change(&b) {
			return err
		}
		return keep(ctx, q, b)
	})
	return noBuild(id, err)
}
