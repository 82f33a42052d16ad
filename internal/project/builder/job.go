package builder

import (
	"context"
	"io"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
)

// Runner carries builds out, by a pipeline.Build as its job's configuration. It
// is called once per build, and again with the same job after a crash; calls
// for different builds overlap. A Result says whether the user's work succeeded
// or failed; an error says that it could not be run. When ctx ends with the
// cause pipeline.ErrShutdown the build goes on without Run, for any other cause
// Run ends it.
type Runner interface {
	Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error)
}

// standalone begins what stands for a pipeline where a build of a project has
// none: caches and users of its own. No pipeline's name can begin so.
const standalone = "project:"

// job is what the Runner is given.
func (r *Builder) job(b project.Build, log io.Writer) (pipeline.Job, error) {
	configuration, err := r.configuration(b)
	if err != nil {
		return pipeline.Job{}, err
	}
	action := pipeline.Action{Name: project.ActionName, Type: pipeline.ActionType{Category: pipeline.CategoryBuild, Owner: "AWS", Provider: "CodeBuild", Version: "1"}}
	job := pipeline.Job{
		Pipeline: standalone + b.Project, Execution: b.UUID(), Number: b.Number, Stage: project.StageName, Attempt: 1, Action: action,
		Revision: b.Revision, Configuration: configuration, Inputs: b.Inputs,
		Dir: r.workDir(b), Log: log, LogFile: r.LogFile(b), Progress: func(string) {},
	}
	if b.Batch != nil {
		job.Parts = parts{builder: r, batch: b, log: log}
	}
	return job, nil
}
