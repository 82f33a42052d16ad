package project

import (
	"context"
	"errors"
	"slices"

	"github.com/towline/towline/internal/store"
)

// StartRequest asks for a build.
type StartRequest struct {
	Project string
	// Version of the source, "" for the one that the project names, or else the
	// newest.
	Version string
	// Batch starts a batch of builds, as the buildspec lists them.
	Batch bool
	// Change gives this build another definition than the project's. It may be
	// nil.
	Change    func(*Definition)
	Initiator string
	Region    string
	// Token makes the same request, known by its Digest, start one build only.
	// It may be "".
	Token, Digest string
}

// Start asks for a build. It waits for its turn from then on. The error is an
// *Error of the kind ErrNotFound or ErrInvalid when it is the caller's.
func (r *Builder) Start(ctx context.Context, req StartRequest) (Build, error) {
	p, err := r.Project(ctx, req.Project)
	if err != nil {
		return Build{}, err
	}
	d := p.Definition
	if req.Change != nil {
		d = clone(d)
		req.Change(&d)
		if err := d.Check(); err != nil {
			return Build{}, err
		}
	}
	if d.Source.Type == SourcePipeline {
		return Build{}, refuse(ErrInvalid, "project %s takes its source from a pipeline: run the pipeline, or give another source with sourceTypeOverride and sourceLocationOverride", req.Project)
	}
	b := Build{Project: req.Project, Definition: d, Version: req.Version, Initiator: req.Initiator, Region: req.Region}
	if b.Version == "" {
		b.Version = d.SourceVersion
	}
	operation := "StartBuild "
	if req.Batch {
		operation, b.Batch = "StartBuildBatch ", d.batch()
	}
	return r.begin(ctx, b, store.ClientRequest{Operation: operation + req.Project, Token: req.Token, Digest: req.Digest})
}

// clone is a definition whose lists can be changed.
func clone(d Definition) Definition {
	d.SecondarySources, d.SecondaryVersions = slices.Clone(d.SecondarySources), slices.Clone(d.SecondaryVersions)
	d.SecondaryArtifacts = slices.Clone(d.SecondaryArtifacts)
	d.Environment.Variables = slices.Clone(d.Environment.Variables)
	return d
}

// Retry asks for another build like one that has ended, of the same version of
// the source. The error is an *Error of the kind ErrNotFound or ErrInvalid when
// it is the caller's.
func (r *Builder) Retry(ctx context.Context, id string, req StartRequest) (Build, error) {
	old, err := r.Build(ctx, id)
	if err != nil {
		return Build{}, err
	}
	switch {
	case old.Action != nil:
		return Build{}, refuse(ErrInvalid, "build %s is part of execution %s: retry its stage with: towline retry %s", id, old.Action.Execution, old.Action.Execution)
	case old.PartOf != "":
		return Build{}, refuse(ErrInvalid, "build %s is part of batch %s: retry that", id, old.PartOf)
	case old.Batch != nil:
		return r.RetryBatch(ctx, id, false, req)
	case !old.Done():
		return Build{}, refuse(ErrInvalid, "build %s has not ended", id)
	}
	return r.begin(ctx, old.again(Build{Initiator: req.Initiator, Region: req.Region}), store.ClientRequest{Operation: "RetryBuild " + id, Token: req.Token, Digest: req.Digest})
}

// again makes a new build one that does the old one once more.
func (b Build) again(next Build) Build {
	next.ID = newID(b.Project)
	next.Project, next.Definition, next.RetryOf = b.Project, b.Definition, b.ID
	if next.Version = b.Version; b.Resolved != "" {
		next.Version = b.Resolved
	}
	return next
}

// begin keeps a new build and has it wait for its turn.
func (r *Builder) begin(ctx context.Context, b Build, request store.ClientRequest) (Build, error) {
	b.ID = newID(b.Project)
	known := false
	err := r.Store.Update(ctx, func(q store.Querier) (err error) {
		if request.Token != "" {
			request.Answer, request.At = b.ID, r.Now()
			if known, err = earlier(ctx, q, request, &b); err != nil || known {
				return err
			}
		}
		return r.add(ctx, q, &b)
	})
	if err != nil {
		return Build{}, err
	}
	if !known {
		r.launch(b)
	}
	return b, nil
}

// earlier keeps a request, or finds the build that the same one has begun.
func earlier(ctx context.Context, q store.Querier, request store.ClientRequest, b *Build) (known bool, err error) {
	kept, known, err := store.KeepRequest(ctx, q, request)
	if err != nil || !known {
		return false, err
	}
	if kept.Digest != request.Digest {
		return true, refuse(ErrInvalid, "the idempotency token has been used for another request")
	}
	*b, err = load(ctx, q, kept.Answer)
	return true, noBuild(kept.Answer, err)
}

// add numbers a build and keeps it.
func (r *Builder) add(ctx context.Context, q store.Querier, b *Build) error {
	r.mu.Lock()
	full := len(r.running) >= mostUnended
	r.mu.Unlock()
	if full {
		return refuse(ErrTooMany, "%d builds wait or run on this server: start another one when some have ended", mostUnended)
	}
	number, err := store.NextBuild(ctx, q, b.Project, b.Batch != nil)
	if errors.Is(err, store.ErrNotFound) {
		return noProject(b.Project)
	}
	if err != nil {
		return err
	}
	now := r.Now()
	b.Number, b.Status, b.Started = number, InProgress, now
	b.enter(PhaseSubmitted, now)
	b.enter(PhaseQueued, now)
	stored, err := b.stored()
	if err == nil {
		_, err = store.AddBuild(ctx, q, stored)
	}
	return err
}
