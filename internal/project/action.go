package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/towline/towline/internal/pipeline"
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
	if refusal, ok := errors.AsType[*Error](err); ok {
		return pipeline.Fail("%s", refusal.Message), nil
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	if b.Batch != nil {
		job.Parts = parts{builder: r, batch: b, log: job.Log}
	}
	return r.lead(ctx, b, errand{run: func(ctx context.Context, b *Build) (pipeline.Result, error) {
		configuration, err := r.configuration(*b)
		if err != nil {
			return pipeline.Result{}, err
		}
		job.Configuration = configuration
		return r.Runner(b.Project).Run(ctx, job)
	}})
}

// errand is what is done with a build that somebody waits for.
type errand struct {
	run func(ctx context.Context, b *Build) (pipeline.Result, error)
	// deliver hands on what it has made. It may be nil.
	deliver func(ctx context.Context, b *Build, result pipeline.Result) error
}

// lead waits for a build's turn, does with it what is to be done, keeps its end
// and returns what came of it to who waits. The cause of parent's end is
// returned, when it has ended before.
func (r *Builder) lead(parent context.Context, b Build, do errand) (pipeline.Result, error) {
	ctx, forget, ok := r.enlist(parent, b)
	if !ok {
		return pipeline.Result{}, pipeline.ErrShutdown
	}
	defer forget()
	turn := r.turn(b)
	defer turn.Leave()
	ctx, cancel := r.bounded(ctx, b)
	defer cancel()
	o, err := r.accompany(ctx, &b, turn, do)
	if err != nil && shutdown(ctx) {
		return pipeline.Result{}, pipeline.ErrShutdown
	}
	if !b.Done() {
		b.end(o.status, o.message, r.Now())
		if err := r.finish(ctx, &b); err != nil {
			return pipeline.Result{}, err
		}
	}
	switch {
	case parent.Err() != nil:
		return pipeline.Result{}, context.Cause(parent)
	case err != nil && o.status == Fault:
		return pipeline.Result{}, err
	case err != nil:
		return pipeline.Fail("%s", o.message), nil
	}
	return o.result, nil
}

// forAction is the record of the build that a job is, made when there is none
// yet. The job's inputs come in the order in which the build takes them.
func (r *Builder) forAction(ctx context.Context, c pipeline.CodeBuild, job *pipeline.Job) (Build, error) {
	if err := order(c.PrimarySource, job); err != nil {
		return Build{}, err
	}
	id := idOf(c.Project, "build "+c.Project+" "+job.Key())
	b, err := r.Build(ctx, id)
	if err == nil || !errors.Is(err, ErrNotFound) {
		return b, err
	}
	p, err := r.Project(ctx, c.Project)
	if err != nil {
		return Build{}, err
	}
	d := clone(p.Definition)
	if c.Environment != "" {
		var variables []Variable
		if err := json.Unmarshal([]byte(c.Environment), &variables); err != nil {
			return Build{}, refuse(ErrInvalid, `action %s: EnvironmentVariables is not JSON such as [{"name": "A", "value": "b", "type": "PLAINTEXT"}]`, job.Action.Name)
		}
		if wrong := checkVariables("EnvironmentVariables", variables); wrong != "" {
			return Build{}, refuse(ErrInvalid, "action %s: %s", job.Action.Name, wrong)
		}
		d.Environment.Override(variables)
	}
	b = Build{
		ID: id, Project: c.Project, Definition: d, Version: job.Revision.Commit, Resolved: job.Revision.Commit, Revision: job.Revision,
		Initiator: "codepipeline/" + job.Pipeline, Inputs: job.Inputs, Batch: batchOf(c),
		Action: &ActionRef{Execution: job.Execution, Stage: job.Stage, Attempt: job.Attempt, Name: job.Action.Name, LogFile: r.relative(job.LogFile)},
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
		return refuse(ErrInvalid, "action %s: PrimarySource %s is none of its input artifacts", job.Action.Name, primary)
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

// relative is the path below the data directory, which may be moved.
func (r *Builder) relative(path string) string {
	below, err := filepath.Rel(r.Dir, path)
	if err != nil || !filepath.IsLocal(below) {
		return path
	}
	return below
}

// Override gives variables other values, and adds those that are not there.
func (e *Environment) Override(variables []Variable) {
	for _, v := range variables {
		e.Variables = slices.DeleteFunc(e.Variables, func(other Variable) bool { return other.Name == v.Name })
		e.Variables = append(e.Variables, v)
	}
}

// accompany waits for the build's turn and does with it what is to be done.
func (r *Builder) accompany(ctx context.Context, b *Build, turn *Turn, do errand) (outcome, error) {
	// One that has begun before goes to its Runner also when it is to be stopped.
	if err := r.wait(ctx, b, turn); err != nil && b.Running.IsZero() {
		o := ended(err)
		if o.status == Fault {
			o = interrupted(ctx, err)
		}
		return o, err
	}
	if b.Running.IsZero() {
		b.Running = r.Now()
		b.enter(PhaseProvisioning, b.Running)
		b.enter(PhaseSource, b.Running)
		b.enter(PhaseBuild, r.Now())
		if err := r.save(ctx, *b); err != nil {
			return ended(err), err
		}
	}
	result, err := do.run(ctx, b)
	if err != nil {
		return interrupted(ctx, err), err
	}
	if b.Done() {
		return outcome{result: result}, nil // the server died before the engine knew
	}
	o := b.judge(result, r.Now())
	if o.status != Succeeded {
		return o, nil
	}
	b.enter(PhaseUpload, r.Now())
	if do.deliver != nil {
		if err := do.deliver(ctx, b, result); err != nil {
			return interrupted(ctx, err), err
		}
	}
	b.enter(PhaseFinalizing, r.Now())
	return o, nil
}
