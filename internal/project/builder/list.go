package builder

import (
	"context"
	"errors"
	"math"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// Filter chooses builds, and where their list begins.
type Filter = store.BuildFilter

// The kinds of builds that a Filter chooses.
const (
	Alone   = store.Alone   // builds, also those of batches
	Batches = store.Batches // batches of builds
)

// Listed is a build in a list.
type Listed struct {
	project.Build
	Place int64 // Filter.After of what follows it
}

// Build returns a build. The error is a *project.Error of the kind ErrNotFound
// when there is no such build.
func (r *Builder) Build(ctx context.Context, id string) (project.Build, error) {
	stored, err := r.Store.Build(ctx, id)
	if err != nil {
		return project.Build{}, noBuild(id, err)
	}
	return read(stored)
}

// noBuild says that a build is not there, and leaves other errors as they are.
func noBuild(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return project.Refuse(project.ErrNotFound, "there is no build %.300q", id)
	}
	return err
}

// Builds lists builds, those that were asked for last first.
func (r *Builder) Builds(ctx context.Context, f Filter) ([]Listed, error) {
	all, err := r.Store.Builds(ctx, f)
	if err != nil {
		return nil, err
	}
	found := make([]Listed, 0, len(all))
	for _, stored := range all {
		b, err := read(stored)
		if err != nil {
			return nil, err
		}
		found = append(found, Listed{b, stored.Sequence})
	}
	return found, nil
}

// Parts are all builds of a batch, those that were asked for last first.
func (r *Builder) Parts(ctx context.Context, batch string) ([]project.Build, error) {
	stored, err := r.Store.Builds(ctx, partsOf(batch))
	if err != nil {
		return nil, err
	}
	return readAll(stored)
}

// partsOf chooses all builds of a batch.
func partsOf(batch string) Filter { return Filter{PartOf: batch, Limit: math.MaxInt32} }
