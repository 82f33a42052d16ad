package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// BatchConfig is how a project's batches are run.
type BatchConfig struct {
	Role    string `json:"serviceRole,omitempty"` // kept, and not used
	Combine *bool  `json:"combineArtifacts,omitempty"`
	// Timeout is how long a batch may take in minutes, 0 for 480.
	Timeout      int           `json:"timeoutInMins,omitempty"`
	Restrictions *Restrictions `json:"restrictions,omitempty"`
	ReportMode   string        `json:"batchReportMode,omitempty"`
}

// Restrictions bound what a buildspec may ask for by its batch.
type Restrictions struct {
	Builds       int      `json:"maximumBuildsAllowed,omitempty"` // 0 for 100
	ComputeTypes []string `json:"computeTypesAllowed,omitempty"`  // empty for all
	Fleets       []string `json:"fleetsAllowed,omitempty"`        // kept, and not used
}

const (
	mostParts           = 100 // of a batch
	defaultBatchTimeout = 480 // minutes
)

func (c *BatchConfig) check() string {
	switch {
	case c == nil:
	case c.Timeout != 0 && (c.Timeout < 5 || c.Timeout > longestTimeout):
		return fmt.Sprintf("buildBatchConfig.timeoutInMins: take 5 to %d", longestTimeout)
	case c.Restrictions != nil && (c.Restrictions.Builds < 0 || c.Restrictions.Builds > mostParts):
		return fmt.Sprintf("buildBatchConfig.restrictions.maximumBuildsAllowed: take 1 to %d", mostParts)
	}
	return ""
}

// batch is how a batch of the project is run.
func (d Definition) batch() *pipeline.Batch {
	return &pipeline.Batch{Combine: d.Batch != nil && d.Batch.Combine != nil && *d.Batch.Combine}
}

// Group is one build of a batch, with all its attempts.
type Group struct {
	Identifier    string   `json:"identifier"`
	DependsOn     []string `json:"dependsOn,omitempty"`
	IgnoreFailure bool     `json:"ignoreFailure,omitempty"`
	Build         string   `json:"build,omitempty"` // id of the last build, "" before there is one
	Prior         []string `json:"prior,omitempty"` // ids of the builds before it
}

// The phases of a batch, beside PhaseSubmitted. The last one is its status.
const (
	PhaseBatchSpec = "DOWNLOAD_BATCHSPEC"
	PhaseParts     = "IN_PROGRESS"
	PhaseCombine   = "COMBINE_ARTIFACTS"
)

// phase is what a batch calls a phase of a build, "" when it has none such.
func (b *Build) phase(of string) string {
	if b.Batch == nil {
		return of
	}
	switch of {
	case PhaseSource:
		return PhaseBatchSpec
	case PhaseBuild:
		return PhaseParts
	case PhaseUpload:
		if b.Batch.Combine {
			return PhaseCombine
		}
	case PhaseSubmitted:
		return PhaseSubmitted
	case PhaseCompleted:
		switch b.Status {
		case Succeeded, Stopped:
			return string(b.Status)
		}
		return string(Failed)
	}
	return ""
}

// errBatchTime ends a batch that has taken too long.
var errBatchTime = errors.New("the batch has taken longer than buildBatchConfig.timeoutInMins allows: raise it, or make the batch smaller")

// bounded ends a batch when its time is up. Other builds have their own bounds.
func (r *Builder) bounded(ctx context.Context, b Build) (context.Context, context.CancelFunc) {
	if b.Batch == nil {
		return context.WithCancel(ctx)
	}
	minutes := defaultBatchTimeout
	if config := b.Definition.Batch; config != nil && config.Timeout != 0 {
		minutes = config.Timeout
	}
	left := b.Started.Add(time.Duration(minutes) * time.Minute).Sub(r.Now())
	return context.WithTimeoutCause(ctx, left, errBatchTime)
}

// refuse says why a batch may not have these builds, "" when it may.
func (c *BatchConfig) refuse(all []pipeline.Part, usual string) string {
	if c == nil || c.Restrictions == nil {
		return ""
	}
	if most := c.Restrictions.Builds; most > 0 && len(all) > most {
		return fmt.Sprintf("the batch has %d builds, and the project allows %d: raise buildBatchConfig.restrictions.maximumBuildsAllowed, or make the batch smaller", len(all), most)
	}
	for _, p := range all {
		compute := p.ComputeType
		if compute == "" {
			compute = usual
		}
		if allowed := c.Restrictions.ComputeTypes; len(allowed) > 0 && !slices.Contains(allowed, compute) {
			return fmt.Sprintf("build %s of the batch asks for compute type %s, which buildBatchConfig.restrictions.computeTypesAllowed of the project does not name", p.Identifier, compute)
		}
	}
	return ""
}
