package project

import (
	"context"
	"errors"
	"math"
	"os"

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
	if b.Batch != nil {
		return refuse(ErrInvalid, "%s is a batch of builds: delete it as one", id)
	}
	return r.forget(ctx, b)
}

// DeleteBatch forgets a batch that has ended with its builds and their logs, and
// returns the ids of the builds. The error is an *Error of the kind ErrNotFound
// or ErrInvalid when it is the caller's.
func (r *Builder) DeleteBatch(ctx context.Context, id string) (builds []string, err error) {
	b, err := r.Build(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case b.Batch == nil:
		return nil, refuse(ErrInvalid, "%s is a build, and no batch of builds", id)
	case !b.Done():
		return nil, refuse(ErrInvalid, "batch %s has not ended: stop it first", id)
	}
	all, err := r.Parts(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, part := range append(all, b) {
		if err := r.forget(ctx, part); err != nil {
			return builds, err
		}
		if part.ID != id {
			builds = append(builds, part.ID)
		}
	}
	return builds, nil
}

// Parts are all builds of a batch, those that were asked for last first.
func (r *Builder) Parts(ctx context.Context, batch string) ([]Build, error) {
	listed, err := r.Builds(ctx, Filter{PartOf: batch, Limit: math.MaxInt32})
	all := make([]Build, 0, len(listed))
	for _, b := range listed {
		all = append(all, b.Build)
	}
	return all, err
}

// forget removes the record of a build that has ended, and its log.
func (r *Builder) forget(ctx context.Context, b Build) error {
	if err := r.Store.RemoveBuild(ctx, b.ID); err != nil {
		return noBuild(b.ID, err)
	}
	if b.Action != nil {
		return nil // the log is the execution's
	}
	if err := os.Remove(r.LogFile(b)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
