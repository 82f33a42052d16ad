package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// PipelineAction carries out the actions Build/CodeBuild and Test/CodeBuild: each
// is a build of a project, with the inputs of the action as its sources.
type PipelineAction struct{ Builder *Builder }

// Run runs the build of a job. Given a job a second time it takes up the build
// that it has begun.
func (a PipelineAction) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	var c pipeline.CodeBuild
	if err := json.Unmarshal(job.Configuration, &c); err != nil {
		return pipeline.Result{}, fmt.Errorf("read configuration of action %s: %w", job.Action.Name, err)
	}
	r := a.Builder
	b, err := r.forAction(ctx, c, &job)
	if refusal, ok := errors.AsType[*project.Error](err); ok {
		return pipeline.Fail("%s", refusal.Message), nil
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	if b.Batch != nil {
		job.Parts = parts{builder: r, batch: b, log: job.Log}
	}
	return r.lead(ctx, b, errand{run: func(ctx context.Context, b *project.Build) (pipeline.Result, error) {
		configuration, err := r.configuration(*b)
		if err != nil {
			return pipeline.Result{}, err
		}
		job.Configuration = configuration
		return r.Runner(b.Project).Run(ctx, job)
	}})
}

// forAction is the record of the build that a job is, made when there is none
// yet. The job's inputs come in the order in which the build takes them.
func (r *Builder) forAction(ctx context.Context, c pipeline.CodeBuild, job *pipeline.Job) (project.Build, error) {
	if err := order(c.PrimarySource, job); err != nil {
		return project.Build{}, err
	}
	id := project.IDOf(c.Project, "build "+c.Project+" "+job.Key())
	b, err := r.Build(ctx, id)
	if err == nil || !errors.Is(err, project.ErrNotFound) {
		return b, err
	}
	p, err := r.Project(ctx, c.Project)
	if err != nil {
		return project.Build{}, err
	}
	d := p.Definition.Clone()
	if c.Environment != "" {
		var variables []project.Variable
		if err := json.Unmarshal([]byte(c.Environment), &variables); err != nil {
			return project.Build{}, project.Refuse(project.ErrInvalid, `action %s: EnvironmentVariables is not JSON such as [{"name": "A", "value": "b", "type": "PLAINTEXT"}]`, job.Action.Name)
		}
		if wrong := project.CheckVariables("EnvironmentVariables", variables); wrong != "" {
			return project.Build{}, project.Refuse(project.ErrInvalid, "action %s: %s", job.Action.Name, wrong)
		}
		d.Environment.Override(variables)
	}
	b = project.Build{
		ID: id, Project: c.Project, Definition: d, Version: job.Revision.Commit, Resolved: job.Revision.Commit, Revision: job.Revision,
		Initiator: "codepipeline/" + job.Pipeline, Inputs: job.Inputs, Batch: batchOf(c),
		Action: &project.ActionRef{Execution: job.Execution, Stage: job.Stage, Attempt: job.Attempt, Name: job.Action.Name, LogFile: r.relative(job.LogFile)},
	}
	return b, r.Store.Update(ctx, func(q store.Querier) error { return r.add(ctx, q, &b) })
}

// order puts the input with the buildspec first, which must be named when there
// are several.
func order(primary string, job *pipeline.Job) error {
	if primary == "" {
		return nil
	}
	i := slices.IndexFunc(job.Inputs, func(a pipeline.Artifact) bool { return a.Name == primary })
	if i < 0 {
		return project.Refuse(project.ErrInvalid, "action %s: PrimarySource %s is none of its input artifacts", job.Action.Name, primary)
	}
	inputs := slices.Clone(job.Inputs)
	first := inputs[i]
	job.Inputs = append([]pipeline.Artifact{first}, slices.Delete(inputs, i, i+1)...)
	return nil
}

// batchOf is how the action runs a batch of builds, nil for one build.
func batchOf(c pipeline.CodeBuild) *pipeline.Batch {
	if c.Batch != "true" {
		return nil
	}
	return &pipeline.Batch{Combine: c.Combine == "true"}
}
