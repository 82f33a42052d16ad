package project

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/towline/towline/internal/store"
)

// RetryBatch runs a batch again that has not succeeded: the builds that have
// not, or all. It is the same batch then, of the same source. The error is an
// *Error of the kind ErrNotFound or ErrInvalid when it is the caller's.
func (r *Builder) RetryBatch(ctx context.Context, id string, all bool, req StartRequest) (Build, error) {
	request := store.ClientRequest{Operation: "RetryBuildBatch " + id, Token: req.Token, Digest: req.Digest}
	var b Build
	known, last := false, ""
	err := r.Store.Update(ctx, func(q store.Querier) (err error) {
		if request.Token != "" {
			request.Answer, request.At = id, r.Now()
			if known, err = earlier(ctx, q, request, &b); err != nil || known {
				return err
			}
		}
		if b, err = loadBatch(ctx, q, id); err != nil {
			return err
		}
		if err := b.retriable(); err != nil {
			return err
		}
		if err := b.renew(ctx, q, all); err != nil {
			return err
		}
		last = r.workDir(b)
		b.restart(r.Now())
		return keep(ctx, q, b)
	})
	if err != nil {
		return Build{}, err
	}
	if known {
		return b, nil
	}
	// It is still there when a server was killed at the batch's end.
	if err := os.RemoveAll(last); err != nil {
		r.Logger.Warn("remove the directory of a build", "build", b.ID, "error", err)
	}
	r.launch(b)
	return b, nil
}

// retriable refuses a batch that cannot be run again.
func (b Build) retriable() error {
	switch {
	case b.Action != nil:
		return refuse(ErrInvalid, "batch %s is part of execution %s: retry its stage with: towline retry %s", b.ID, b.Action.Execution, b.Action.Execution)
	case !b.Done():
		return refuse(ErrInvalid, "batch %s has not ended", b.ID)
	case b.Status == Succeeded:
		return refuse(ErrInvalid, "batch %s has succeeded: start another one", b.ID)
	}
	return nil
}

// renew makes room for new builds in the place of those that are to run again.
func (b *Build) renew(ctx context.Context, q store.Querier, all bool) error {
	for i := range b.Groups {
		g := &b.Groups[i]
		if g.Build == "" {
			continue
		}
		last, err := load(ctx, q, g.Build)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && last.Status == Succeeded && !all {
			continue
		}
		g.Prior, g.Build = append(g.Prior, g.Build), ""
	}
	return nil
}

// restart makes a batch that has ended one that waits.
func (b *Build) restart(now time.Time) {
	b.Status, b.Phase, b.Phases, b.Message = InProgress, "", nil, ""
	b.Started, b.Running, b.Ended, b.Stopping = now, time.Time{}, time.Time{}, false
	b.Artifacts, b.Delivered, b.Exported, b.Tests = nil, nil, nil, nil
	b.Rerun++
	b.enter(PhaseSubmitted, now)
}
