package builder

import (
	"context"
	"errors"

	"github.com/towline/towline/internal/project"
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
	Change    func(*project.Definition)
	Initiator string
	Region    string
	// Token makes the same request, known by its Digest, start one build only.
	// It may be "".
	Token, Digest string
}

// Start asks for a build. It waits for its turn from then on. The error is an
// *project.Error of the kind ErrNotFound or ErrInvalid when it is the caller's.
func (r *Builder) Start(ctx context.Context, req StartRequest) (project.Build, error) {
	p, err := r.Project(ctx, req.Project)
	if err != nil {
		return project.Build{}, err
	}
	d := p.Definition
	if req.Change != nil {
		d = d.Clone()
		req.Change(&d)
		if err := d.Check(); err != nil {
			return project.Build{}, err
		}
	}
	if d.Source.Type == project.SourcePipeline {
		return project.Build{}, project.Refuse(project.ErrInvalid, "project %s takes its source from a pipeline: run the pipeline, or give another source with sourceTypeOverride and sourceLocationOverride", req.Project)
	}
	b := project.Build{Project: req.Project, Definition: d, Version: req.Version, Initiator: req.Initiator, Region: req.Region}
	if b.Version == "" {
		b.Version = d.SourceVersion
	}
	operation := "StartBuild "
	if req.Batch {
		operation, b.Batch = "StartBuildBatch ", d.AsBatch()
	}
	return r.begin(ctx, b, store.ClientRequest{Operation: operation + req.Project, Token: req.Token, Digest: req.Digest})
}

// mostUnended bounds how many builds wait and run on one server.
const mostUnended = 2000

// begin keeps a new build and has it wait for its turn.
func (r *Builder) begin(ctx context.Context, b project.Build, request store.ClientRequest) (project.Build, error) {
	b.ID = project.NewID(b.Project)
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
		return project.Build{}, err
	}
	if !known {
		r.launch(b)
	}
	return b, nil
}

// earlier keeps a request, or finds the build that the same one has begun.
func earlier(ctx context.Context, q store.Querier, request store.ClientRequest, b *project.Build) (known bool, err error) {
	kept, known, err := store.KeepRequest(ctx, q, request)
	if err != nil || !known {
		return false, err
	}
	if kept.Digest != request.Digest {
		return true, project.Refuse(project.ErrInvalid, "the idempotency token has been used for another request")
	}
	*b, err = load(ctx, q, kept.Answer)
	return true, noBuild(kept.Answer, err)
}

// add numbers a build and keeps it.
func (r *Builder) add(ctx context.Context, q store.Querier, b *project.Build) error {
	r.mu.Lock()
	full := len(r.running) >= mostUnended
	r.mu.Unlock()
	if full {
		return project.Refuse(project.ErrTooMany, "%d builds wait or run on this server: start another one when some have ended", mostUnended)
	}
	number, err := store.NextBuild(ctx, q, b.Project, b.Batch != nil)
	if errors.Is(err, store.ErrNotFound) {
		return noProject(b.Project)
	}
	if err != nil {
		return err
	}
	now := r.Now()
	b.Number, b.Status, b.Started = number, project.InProgress, now
	b.Enter(project.PhaseSubmitted, now)
	b.Enter(project.PhaseQueued, now)
	kept, err := stored(*b)
	if err == nil {
		_, err = store.AddBuild(ctx, q, kept)
	}
	return err
}
