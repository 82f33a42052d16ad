package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/internal/awsapi"
	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// awsStarts starts executions for AWS's clients, who may name a revision and
// need not.
type awsStarts struct{ *App }

var _ awsapi.Starts = awsStarts{}

// RollBack brings a stage back.
func (s awsStarts) RollBack(ctx context.Context, req engine.RollbackRequest) (pipeline.Execution, error) {
	return s.engine.RollBack(ctx, req)
}

// Start starts an execution of the revision that is asked for, or of the newest
// one of the branch that the pipeline watches.
func (s awsStarts) Start(ctx context.Context, req engine.StartRequest) (pipeline.Execution, error) {
	e, err := s.run(ctx, req, "")
	if problem, ok := errors.AsType[*source.Error](err); ok {
		err = wire.Faultf("ValidationException", "%s", problem.Error())
	}
	return e, err
}

// run starts an execution of what its overrides ask for, of the newest revision
// of a branch, or of the one that the pipeline watches when branch is "".
func (a *App) run(ctx context.Context, req engine.StartRequest, branch string) (pipeline.Execution, error) {
	d, err := a.store.Pipeline(ctx, req.Pipeline)
	if err != nil {
		return pipeline.Execution{}, err
	}
	repository, ref, err := wanted(d, req.Overrides)
	if err != nil {
		return pipeline.Execution{}, err
	}
	if branch != "" {
		ref = "refs/heads/" + branch
	}
	if repository != "" {
		if err := a.sourceMirrors.ready(d.Pipeline, repository); err != nil {
			return pipeline.Execution{}, err
		}
		if req.Revision, err = a.repositories.Revision(ctx, repository, ref); err != nil {
			return pipeline.Execution{}, err
		}
	}
	return a.engine.StartExecution(ctx, req)
}

// wanted is the repository of this server that a pipeline begins with, and the
// revision in it that the overrides name.
func wanted(d store.Definition, overrides []pipeline.Override) (repository, ref string, err error) {
	sources := sourcesOf(d.Pipeline)
	for _, o := range overrides {
		if !slices.ContainsFunc(sources, func(a pipeline.Action) bool { return a.Name == o.Action }) {
			return "", "", &source.Error{Kind: source.ErrInvalid, Message: fmt.Sprintf("The pipeline '%s' has no source action '%s', for which a revision is given.", d.Pipeline.Name, o.Action)}
		}
		if o.Type == pipeline.OverrideCommit {
			ref = o.Value
		}
	}
	repository, branch, others := d.Repository, branchOf(d.Pipeline), false
	for _, action := range sources {
		if from, on, _ := gitSource(action); from != "" && from != d.Repository {
			repository, branch = from, on
		}
		others = others || newestOf(action, source.ObjectAction{}, source.ImageAction{}) != nil
	}
	if repository == "" && others {
		return "", "", nil // The actions themselves find the newest version.
	}
	if repository == "" {
		return "", "", &source.Error{Kind: source.ErrInvalid, Message: fmt.Sprintf("The pipeline '%s' has no source action with a repository of this server, so there is nothing to start with.", d.Pipeline.Name)}
	}
	if ref == "" && branch != "" {
		ref = "refs/heads/" + branch
	}
	return repository, ref, nil
}

// sourcesOf are a pipeline's source actions.
func sourcesOf(p pipeline.Pipeline) (found []pipeline.Action) {
	for _, stage := range p.Stages {
		for _, a := range stage.Actions {
			if a.Type.Category == pipeline.CategorySource {
				found = append(found, a)
			}
		}
	}
	return found
}

// branchOf is the branch whose newest commit runs when nobody says which: the
// first one that the pipeline watches by its name.
func branchOf(p pipeline.Pipeline) string {
	for _, f := range p.On.Push {
		if f.Branches.Empty() {
			continue
		}
		for _, branch := range f.Branches.Includes {
			if !strings.ContainsAny(branch, `*?[{\`) {
				return branch
			}
		}
	}
	return source.DefaultBranch
}
