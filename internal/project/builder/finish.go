package builder

import (
	"context"
	"errors"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// finish keeps the end of a build together with what follows from it, so that a
// crash loses neither: its reports, and the build that does it again.
func (r *Builder) finish(ctx context.Context, b *project.Build) error {
	ctx = context.WithoutCancel(ctx)
	filed, err := r.Reports.Of(ctx, *b)
	if err != nil {
		// What they said is lost to lists; how the build has ended must not be.
		r.Logger.Error("load the reports of a build", "build", b.ID, "error", err)
	}
	var next *project.Build
	err = r.Store.Update(ctx, func(q store.Querier) error {
		kept, err := load(ctx, q, b.ID)
		if err != nil {
			return err
		}
		b.Stopping, b.Groups = b.Stopping || kept.Stopping, kept.Groups
		if err := r.Reports.File(ctx, q, b, filed); err != nil {
			return err
		}
		if err := keep(ctx, q, *b); err != nil {
			return err
		}
		next, err = r.next(ctx, q, *b)
		return err
	})
	if err != nil {
		return noBuild(b.ID, err)
	}
	if next != nil {
		r.launch(*next)
	}
	return nil
}

// next is the build that does one again which has not succeeded, as often as
// its project says; nil for none.
func (r *Builder) next(ctx context.Context, q store.Querier, b project.Build) (*project.Build, error) {
	alone := b.Batch == nil && b.PartOf == "" && b.Action == nil
	if !alone || b.Status == project.Succeeded || b.Status == project.Stopped || b.Retries >= b.Definition.AutoRetry {
		return nil, nil
	}
	next := b.Again(project.Build{Initiator: b.Initiator, Region: b.Region, Retries: b.Retries + 1})
	err := r.add(ctx, q, &next)
	switch {
	case errors.Is(err, project.ErrNotFound):
		return nil, nil // its project is gone
	case errors.Is(err, project.ErrTooMany):
		r.Logger.Error("start a build again", "build", b.ID, "error", err)
		return nil, nil
	}
	return &next, err
}
