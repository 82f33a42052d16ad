package builder

import (
	"context"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// Retry asks for another build like one that has ended, of the same version of
// the source. The error is a *project.Error of the kind ErrNotFound or
// ErrInvalid when it is the caller's.
func (r *Builder) Retry(ctx context.Context, id string, req StartRequest) (project.Build, error) {
	old, err := r.Build(ctx, id)
	if err != nil {
		return project.Build{}, err
	}
	switch {
	case old.Action != nil:
		return project.Build{}, project.Refuse(project.ErrInvalid, "build %s is part of execution %s: retry its stage with: towline retry %s", id, old.Action.Execution, old.Action.Execution)
	case old.PartOf != "":
		return project.Build{}, project.Refuse(project.ErrInvalid, "build %s is part of batch %s: retry that", id, old.PartOf)
	case old.Batch != nil:
		return r.RetryBatch(ctx, id, false, req)
	case !old.Done():
		return project.Build{}, project.Refuse(project.ErrInvalid, "build %s has not ended", id)
	}
	return r.begin(ctx, old.Again(project.Build{Initiator: req.Initiator, Region: req.Region}), store.ClientRequest{Operation: "RetryBuild " + id, Token: req.Token, Digest: req.Digest})
}
