package project

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// outcome is how a build ended.
type outcome struct {
	status  Status
	message string
	result  pipeline.Result
}

// ended makes an outcome of what went wrong.
func ended(err error) outcome {
	switch {
	case errors.Is(err, errStopped):
		return outcome{status: Stopped, message: errStopped.Error()}
	case errors.Is(err, errQueued), errors.Is(err, errBatchTime):
		return outcome{status: TimedOut, message: err.Error()}
	}
	if refusal, ok := errors.AsType[*Error](err); ok {
		return outcome{status: Failed, message: refusal.Message}
	}
	return outcome{status: Fault, message: err.Error()}
}

// errQueued ends a build that has waited too long.
var errQueued = errors.New("the build has waited longer than queuedTimeoutInMinutes allows: raise it, or the project's concurrentBuildLimit")

// attend waits for a build's turn and carries it out. When the server stops
// meanwhile the build stays as it is, to be taken up again.
func (r *Builder) attend(ctx context.Context, b Build, turn *Turn) {
	ctx, cancel := r.bounded(ctx, b)
	defer cancel()
	var o outcome
	err := r.wait(ctx, &b, turn)
	switch {
	case b.Running.IsZero() && r.closing():
		return // Also when it is its turn now, because others have let go.
	case b.Running.IsZero() && err != nil:
		o = ended(err)
	default: // One that has begun before goes to its Runner also to be stopped.
		o = r.perform(ctx, &b)
	}
	if shutdown(ctx) && o.status != Succeeded {
		return
	}
	b.end(o.status, o.message, r.Now())
	if err := r.finish(ctx, &b); err != nil {
		// It is taken up again at the next start, and ends then.
		r.Logger.Error("keep the end of a build", "build", b.ID, "error", err)
		return
	}
	if err := os.RemoveAll(r.workDir(b)); err != nil {
		r.Logger.Warn("remove the directory of a build", "build", b.ID, "error", err)
	}
}

func shutdown(ctx context.Context) bool { return errors.Is(context.Cause(ctx), pipeline.ErrShutdown) }

// wait returns when it is the build's turn. One that has begun before waits as
// long as it takes.
func (r *Builder) wait(ctx context.Context, b *Build, turn *Turn) error {
	if b.Running.IsZero() {
		minutes := b.Definition.QueuedTimeout
		if minutes == 0 {
			minutes = longestQueued
		}
		// While no server ran nothing could end to make room for it.
		from := b.Started
		if from.Before(r.began) {
			from = r.began
		}
		left := from.Add(time.Duration(minutes) * time.Minute).Sub(r.Now())
		limited, cancel := context.WithTimeoutCause(ctx, left, errQueued)
		defer cancel()
		ctx = limited
	}
	return turn.Wait(ctx)
}

// perform carries out a build whose turn it is.
func (r *Builder) perform(ctx context.Context, b *Build) outcome {
	if b.Running.IsZero() {
		b.Running = r.Now()
		b.enter(PhaseProvisioning, b.Running)
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
	if !shutdown(ctx) && o.status != Succeeded {
		fmt.Fprintf(log, "%s: %s\n", o.status, strings.TrimRight(o.message, "\n"))
	}
	if o.status == Fault {
		r.Logger.Error("build faulted", "build", b.ID, "error", o.message)
	}
	return o
}

// prepare makes the directories of a build and opens its log.
func (r *Builder) prepare(b Build) (io.WriteCloser, error) {
	// A build may run as another user, who passes through to its own directory.
	for _, dir := range []string{filepath.Join(r.Dir, "projects"), filepath.Dir(r.workDir(b))} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("make directory of build %s: %w", b.ID, err)
		}
	}
	mode := os.FileMode(0o700)
	if b.Batch != nil {
		mode = 0o711 // So do the builds of a batch, through that of the batch.
	}
	if err := os.MkdirAll(r.workDir(b), mode); err != nil {
		return nil, fmt.Errorf("make directory of build %s: %w", b.ID, err)
	}
	return r.openLog(b)
}

// openLog opens the log of a build that is its own.
func (r *Builder) openLog(b Build) (io.WriteCloser, error) {
	if err := os.MkdirAll(filepath.Dir(r.LogFile(b)), 0o700); err != nil {
		return nil, fmt.Errorf("make directory of the log of build %s: %w", b.ID, err)
	}
	return r.OpenLog(r.LogFile(b))
}

// walk fetches the source, runs the build and hands on what it has made.
func (r *Builder) walk(ctx context.Context, b *Build, log io.Writer) outcome {
	if b.Inputs == nil {
		b.enter(PhaseSource, r.Now())
		if err := r.save(ctx, *b); err != nil {
			return ended(err)
		}
		if err := r.fetch(ctx, b, log); err != nil {
			return interrupted(ctx, err)
		}
	}
	b.enter(PhaseBuild, r.Now())
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
	o := b.judge(result, r.Now())
	if o.status != Succeeded {
		return o
	}
	b.enter(PhaseUpload, r.Now())
	// The builds of a batch have handed on what is their own.
	if b.Batch == nil || b.Batch.Combine {
		if err := r.deliver(ctx, b, result, log); err != nil {
			return interrupted(ctx, err)
		}
	}
	b.enter(PhaseFinalizing, r.Now())
	return o
}

// interrupted tells a build that was stopped from one that went wrong.
func interrupted(ctx context.Context, err error) outcome {
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
		return ended(err)
	case errors.Is(cause, errBatchTime):
		return ended(cause)
	}
	return outcome{status: Stopped, message: cause.Error()}
}

// standalone begins what stands for a pipeline where a build of a project has
// none: caches and users of its own. No pipeline's name can begin so.
const standalone = "project:"

// stageName and actionName stand where a build has an action that no pipeline
// has.
const (
	stageName  = "Build"
	actionName = "build"
)

// job is what the Runner is given.
func (r *Builder) job(b Build, log io.Writer) (pipeline.Job, error) {
	configuration, err := r.configuration(b)
	if err != nil {
		return pipeline.Job{}, err
	}
	action := pipeline.Action{Name: actionName, Type: pipeline.ActionType{Category: pipeline.CategoryBuild, Owner: "AWS", Provider: "CodeBuild", Version: "1"}}
	job := pipeline.Job{
		Pipeline: standalone + b.Project, Execution: b.UUID(), Number: b.Number, Stage: stageName, Attempt: 1, Action: action,
		Revision: b.Revision, Configuration: configuration, Inputs: b.Inputs,
		Dir: r.workDir(b), Log: log, LogFile: r.LogFile(b), Progress: func(string) {},
	}
	if b.Batch != nil {
		job.Parts = parts{builder: r, batch: b, log: log}
	}
	return job, nil
}

// judge notes what a Runner has said of a build.
func (b *Build) judge(result pipeline.Result, now time.Time) outcome {
	b.Artifacts, b.Exported, b.Tests = result.Artifacts, result.Variables, result.Tests
	o := outcome{status: Succeeded, message: result.Message, result: result}
	if result.Outcome != pipeline.Succeeded {
		o.status = Failed
	}
	broken := b.unfold(result.Phases, now)
	switch {
	case broken == TimedOut:
		o.status = TimedOut
	case o.status == Failed && broken == Succeeded && len(result.Phases) > 0:
		b.enter(PhaseUpload, now) // its artifacts were not as they should be
	}
	return o
}

// unfold puts the phases that a build has had in the place of the one that stood
// for them all, and tells how they went.
func (b *Build) unfold(phases []pipeline.Phase, now time.Time) Status {
	if len(phases) == 0 || len(b.Phases) == 0 {
		return Succeeded
	}
	whole := b.Phases[len(b.Phases)-1]
	b.Phases = b.Phases[:len(b.Phases)-1]
	status, at := Succeeded, whole.Started
	for _, p := range phases {
		phase := Phase{Name: strings.ToUpper(p.Name), Status: Succeeded, Started: at, Message: p.Failure}
		at = at.Add(time.Duration(p.Seconds * float64(time.Second)))
		if at.After(now) {
			at = now
		}
		phase.Ended = at
		switch {
		case p.TimedOut:
			phase.Status, phase.Ended, status = TimedOut, now, TimedOut
		case p.Failure != "":
			phase.Status = Failed
			if status == Succeeded {
				status = Failed
			}
		}
		b.Phases = append(b.Phases, phase)
	}
	return status
}
