package builder

import (
	"context"
	"errors"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
)

// outcome is how a build ended.
type outcome struct {
	status  project.Status
	message string
	result  pipeline.Result
}

// errStopped ends a build because somebody wants it to.
var errStopped = errors.New("the build was stopped")

// errQueued ends a build that has waited too long.
var errQueued = errors.New("the build has waited longer than queuedTimeoutInMinutes allows: raise it, or the project's concurrentBuildLimit")

// errBatchTime ends a batch that has taken too long.
var errBatchTime = errors.New("the batch has taken longer than buildBatchConfig.timeoutInMins allows: raise it, or make the batch smaller")

// judged is the outcome of a build that has run.
func judged(status project.Status, result pipeline.Result) outcome {
	return outcome{status: status, message: result.Message, result: result}
}

// ended makes an outcome of what went wrong.
func ended(err error) outcome {
	switch {
	case errors.Is(err, errStopped):
		return outcome{status: project.Stopped, message: errStopped.Error()}
	case errors.Is(err, errQueued), errors.Is(err, errBatchTime):
		return outcome{status: project.TimedOut, message: err.Error()}
	}
	if refusal, ok := errors.AsType[*project.Error](err); ok {
		return outcome{status: project.Failed, message: refusal.Message}
	}
	return outcome{status: project.Fault, message: err.Error()}
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
	return outcome{status: project.Stopped, message: cause.Error()}
}
