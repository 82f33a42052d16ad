package project

import (
	"context"
	"errors"
	"os"

	"github.com/towline/towline/internal/store"
)

// Filter chooses builds, and where their list begins.
type Filter = store.BuildFilter

// Listed is a build in a list.
type Listed struct {
	Build
	Place int64 // Filter.After of what follows it
}

// Build returns a build. The error is an *Error of the kind ErrNotFound when
// there is no such build.
func (r *Builder) Build(ctx context.Context, id string) (Build, error) {
	stored, err := r.Store.Build(ctx, id)
	if err != nil {
		return Build{}, noBuild(id, err)
	}
	return read(stored)
}

// noBuild says that a build is not there, and leaves other errors as they are.
func noBuild(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return refuse(ErrNotFound, "there is no build %.300q", id)
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

// DeleteBuild forgets a build that has ended, and its log. The error is an
// *Error of the kind ErrNotFound or ErrInvalid when it is the caller's.
func (r *Builder) DeleteBuild(ctx context.Context, id string) error {
	b, err := r.Build(ctx, id)
	if err != nil {
		return err
	}
	if !b.Done() {
		return refuse(ErrInvalid, "build %s has not ended: stop it first", id)
	}
	if err := r.Store.RemoveBuild(ctx, id); err != nil {
		return noBuild(id, err)
	}
	if b.Action != nil {
		return nil // the log is the execution's
	}
	if err := os.Remove(r.LogFile(b)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
