package project

import (
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

// Refuse says why a batch may not have these builds, "" when it may.
func (c *BatchConfig) Refuse(all []pipeline.Part, usual string) string {
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

// Lasts is how long a batch may take.
func (c *BatchConfig) Lasts() time.Duration {
	if c == nil {
		return minutes(0, defaultBatchTimeout)
	}
	return minutes(c.Timeout, defaultBatchTimeout)
}

// Group is one build of a batch, with all its attempts.
type Group struct {
	Identifier    string   `json:"identifier"`
	DependsOn     []string `json:"dependsOn,omitempty"`
	IgnoreFailure bool     `json:"ignoreFailure,omitempty"`
	Build         string   `json:"build,omitempty"` // id of the last build, "" before there is one
	Prior         []string `json:"prior,omitempty"` // ids of the builds before it
}
