package builder

import (
	"context"
	"errors"
	"os"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// RetryBatch runs a batch again that has not succeeded: the builds that have
// not, or all. It is the same batch then, of the same source. The error is an
// *project.Error of the kind ErrNotFound or ErrInvalid when it is the caller's.
func (r *Builder) RetryBatch(ctx context.Context, id string, all bool, req StartRequest) (project.Build, error) {
	request := store.ClientRequest{Operation: "RetryBuildBatch " + id, Token: req.Token, Digest: req.Digest}
	var b project.Build
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
		if err := b.Retriable(); err != nil {
			return err
		}
		if err := renew(ctx, q, &b, all); err != nil {
			return err
		}
		last = r.workDir(b)
		b.Restart(r.Now())
		return keep(ctx, q, b)
	})
	if err != nil {
		return project.Build{}, err
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

// renew makes room for new builds in the place of those that are to run again.
func renew(ctx context.Context, q store.Querier, b *project.Build, all bool) error {
	for i := range b.Groups {
		g := &b.Groups[i]
		if g.Build == "" {
			continue
		}
		last, err := load(ctx, q, g.Build)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && last.Status == project.Succeeded && !all {
			continue
		}
		g.Prior, g.Build = append(g.Prior, g.Build), ""
	}
	return nil
}
