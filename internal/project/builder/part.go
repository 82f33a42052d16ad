package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/store"
)

// parts makes the builds of one batch builds of its project, each with a record
// and a turn of its own.
type parts struct {
	builder *Builder
	batch   project.Build // as it was when it began: its groups are in the store
	log     io.Writer
}

var _ pipeline.Parts = parts{}

// Plan notes which builds the batch has.
func (p parts) Plan(ctx context.Context, all []pipeline.Part) (refused string, err error) {
	d := p.batch.Definition
	if refused := d.Batch.Refuse(all, d.Environment.ComputeType); refused != "" {
		return refused, nil
	}
	return "", p.builder.change(context.WithoutCancel(ctx), p.batch.ID, func(kept *project.Build) bool {
		if len(kept.Groups) > 0 {
			return false
		}
		for _, one := range all {
			kept.Groups = append(kept.Groups, project.Group{Identifier: one.Identifier, DependsOn: one.DependsOn, IgnoreFailure: one.IgnoreFailure})
		}
		return true
	})
}

// Part runs a build of the batch, or tells what came of it.
func (p parts) Part(ctx context.Context, of pipeline.Part, job pipeline.Job, do pipeline.RunPart) (pipeline.Result, error) {
	r := p.builder
	b, err := p.begin(ctx, of, job)
	if refusal, ok := errors.AsType[*project.Error](err); ok {
		return pipeline.Fail("%s", refusal.Message), nil
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	if b.Done() {
		return b.Result(), nil
	}
	env := r.variables(b)
	if b.Action != nil {
		// Its lines are among those of the action, and the action hands on what
		// it makes.
		return r.lead(ctx, b, errand{run: func(ctx context.Context, _ *project.Build) (pipeline.Result, error) { return do(ctx, job, env) }})
	}
	log, err := r.openLog(b)
	if err != nil {
		return pipeline.Result{}, err
	}
	defer log.Close()
	fmt.Fprintf(p.log, "build %s is %s\n", of.Identifier, b.ID)
	job.Execution, job.Number, job.Attempt, job.Action.Name = b.UUID(), b.Number, 1, project.ActionName
	job.Log, job.LogFile = log, r.LogFile(b)
	result, err := r.lead(ctx, b, errand{
		run: func(ctx context.Context, _ *project.Build) (pipeline.Result, error) { return do(ctx, job, env) },
		deliver: func(ctx context.Context, b *project.Build, result pipeline.Result) error {
			if p.batch.Batch.Combine {
				return nil
			}
			return r.deliver(ctx, b, result, log)
		},
	})
	p.tell(ctx, b.ID, of.Identifier, log)
	return result, err
}

// tell says in the logs how a build of the batch has ended, if it has.
func (p parts) tell(ctx context.Context, id, identifier string, log io.Writer) {
	b, err := p.builder.Build(context.WithoutCancel(ctx), id)
	if err != nil || !b.Done() {
		return
	}
	if b.Status != project.Succeeded {
		fmt.Fprintf(log, "%s: %s\n", b.Status, strings.TrimRight(b.Message, "\n"))
	}
	fmt.Fprintf(p.log, "build %s: %s\n", identifier, b.Status)
}

// begin is the record of a build of the batch, made when there is none yet.
func (p parts) begin(ctx context.Context, of pipeline.Part, job pipeline.Job) (b project.Build, err error) {
	r := p.builder
	ctx = context.WithoutCancel(ctx) // one that has begun is found also in order to end
	err = r.Store.Update(ctx, func(q store.Querier) error {
		batch, err := load(ctx, q, p.batch.ID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(batch.Groups, func(g project.Group) bool { return g.Identifier == of.Identifier })
		if i < 0 {
			return fmt.Errorf("begin build %s of batch %s: it is not in its plan", of.Identifier, p.batch.ID)
		}
		if known := batch.Groups[i].Build; known != "" {
			if b, err = load(ctx, q, known); !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		b = p.made(of, job)
		if err := r.add(ctx, q, &b); err != nil {
			return err
		}
		batch.Groups[i].Build = b.ID
		return keep(ctx, q, batch)
	})
	return b, err
}

// made is a new build of the batch.
func (p parts) made(of pipeline.Part, job pipeline.Job) project.Build {
	batch := p.batch
	d := batch.Definition.Clone()
	replace(&d.Source.Buildspec, of.Buildspec)
	replace(&d.Environment.Image, of.Image)
	replace(&d.Environment.Type, of.Type)
	replace(&d.Environment.ComputeType, of.ComputeType)
	var variables []project.Variable
	for name, value := range of.Variables {
		variables = append(variables, project.Variable{Name: name, Value: value, Type: project.Plaintext})
	}
	slices.SortFunc(variables, func(a, b project.Variable) int { return strings.Compare(a.Name, b.Name) })
	d.Environment.Override(variables)
	b := project.Build{
		ID: project.NewID(batch.Project), Project: batch.Project, Definition: d, Version: batch.Version, Resolved: batch.Resolved, Revision: job.Revision,
		Initiator: batch.Initiator, Region: batch.Region, Inputs: job.Inputs, PartOf: batch.ID, Identifier: of.Identifier,
	}
	if batch.Action != nil {
		action := *batch.Action
		action.Name = job.Action.Name
		b.Action = &action
	}
	return b
}

func replace(into *string, given string) {
	if given != "" {
		*into = given
	}
}
