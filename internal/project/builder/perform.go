package builder

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/towline/towline/internal/project"
)

// perform carries out a build whose turn it is.
func (r *Builder) perform(ctx context.Context, b *project.Build) outcome {
	if b.Running.IsZero() {
		b.Running = r.Now()
		b.Enter(project.PhaseProvisioning, b.Running)
	}
	log, err := r.prepare(*b)
	if err != nil {
		return ended(err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			r.Logger.Error("close log", "build", b.ID, "error", err)
		}
	}()
	o := r.walk(ctx, b, log)
	if !shutdown(ctx) && o.status != project.Succeeded {
		fmt.Fprintf(log, "%s: %s\n", o.status, strings.TrimRight(o.message, "\n"))
	}
	if o.status == project.Fault {
		r.Logger.Error("build faulted", "build", b.ID, "error", o.message)
	}
	return o
}

// walk fetches the source, runs the build and hands on what it has made.
func (r *Builder) walk(ctx context.Context, b *project.Build, log io.Writer) outcome {
	if b.Inputs == nil {
		b.Enter(project.PhaseSource, r.Now())
		if err := r.save(ctx, *b); err != nil {
			return ended(err)
		}
		if err := r.fetch(ctx, b, log); err != nil {
			return interrupted(ctx, err)
		}
	}
	b.Enter(project.PhaseBuild, r.Now())
	if err := r.save(ctx, *b); err != nil {
		return ended(err)
	}
	job, err := r.job(*b, log)
	if err != nil {
		return ended(err)
	}
	result, err := r.Runner(b.Project).Run(ctx, job)
	if err != nil {
		return interrupted(ctx, err)
	}
	o := judged(b.Judge(result, r.Now()), result)
	if o.status != project.Succeeded {
		return o
	}
	b.Enter(project.PhaseUpload, r.Now())
	// The builds of a batch have handed on what is their own.
	if b.Batch == nil || b.Batch.Combine {
		if err := r.deliver(ctx, b, result, log); err != nil {
			return interrupted(ctx, err)
		}
	}
	b.Enter(project.PhaseFinalizing, r.Now())
	return o
}
