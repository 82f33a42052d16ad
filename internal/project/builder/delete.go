package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// DeleteBuild forgets a build that has ended, and its log. The error is an
// *project.Error of the kind ErrNotFound or ErrInvalid when it is the caller's.
func (r *Builder) DeleteBuild(ctx context.Context, id string) error {
	var b project.Build
	err := r.Store.Update(ctx, func(q store.Querier) (err error) {
		b, err = load(ctx, q, id)
		switch {
		case err != nil:
			return noBuild(id, err)
		case b.Batch != nil:
			return project.Refuse(project.ErrInvalid, "%s is a batch of builds: delete it as one", id)
		case !b.Done():
			return project.Refuse(project.ErrInvalid, "build %s has not ended: stop it first", id)
		}
		return store.RemoveBuild(ctx, q, id)
	})
	if err != nil {
		return err
	}
	return r.removeLog(b)
}

// DeleteBatch forgets a batch that has ended with its builds and their logs,
// and returns the ids of the builds, those that were asked for last first. The
// error is a *project.Error of the kind ErrNotFound or ErrInvalid when it is
// the caller's.
func (r *Builder) DeleteBatch(ctx context.Context, id string) (builds []string, err error) {
	var gone []project.Build
	err = r.Store.Update(ctx, func(q store.Querier) error {
		// It is looked at where it is removed: meanwhile nobody runs it again.
		batch, err := loadBatch(ctx, q, id)
		if err != nil {
			return err
		}
		if !batch.Done() {
			return project.Refuse(project.ErrInvalid, "batch %s has not ended: stop it first", id)
		}
		parts, err := store.GetBuilds(ctx, q, partsOf(id))
		if err != nil {
			return err
		}
		if gone, err = readAll(parts); err != nil {
			return err
		}
		for _, b := range gone {
			builds = append(builds, b.ID)
		}
		gone = append(gone, batch)
		for _, b := range gone {
			if err := store.RemoveBuild(ctx, q, b.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, b := range gone {
		errs = append(errs, r.removeLog(b))
	}
	return builds, errors.Join(errs...)
}

// removeLog removes the log of a build whose record is gone.
func (r *Builder) removeLog(b project.Build) error {
	if b.Action != nil {
		return nil // the log is the execution's
	}
	if err := os.Remove(r.LogFile(b)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the log of build %s: %w", b.ID, err)
	}
	return nil
}
