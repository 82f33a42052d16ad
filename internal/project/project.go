// Package project is what a build has of its own when no pipeline writes it down:
// its nouns are the project, which says of what source, where and how something
// is built, and the build of one, with its phases from SUBMITTED to COMPLETED.
// The words are CodeBuild's. Here is what is true of them without asking anybody:
// what is a right definition, where an artifact goes, how a phase follows on the
// other. Package builder makes and runs builds, queue says whose turn it is, and
// reports keeps what their tests have said; this package knows none of them, and
// neither how a build runs, nor where sources come from and files go to.
package project

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Project is a project that is kept.
type Project struct {
	Definition Definition `json:"definition"`
	Builds     int        `json:"builds"` // number of the last one
	Created    time.Time  `json:"created"`
	Updated    time.Time  `json:"updated"`
}

// Definition is a project, in CodeBuild's words, and in JSON in its form. The
// members without a meaning here are kept as they came.
type Definition struct {
	Name              string          `json:"name"`
	Description       string          `json:"description,omitempty"`
	Source            Source          `json:"source"`
	SecondarySources  []Source        `json:"secondarySources,omitempty"`
	SourceVersion     string          `json:"sourceVersion,omitempty"`
	SecondaryVersions []SourceVersion `json:"secondarySourceVersions,omitempty"`

	Artifacts          Artifacts   `json:"artifacts"`
	SecondaryArtifacts []Artifacts `json:"secondaryArtifacts,omitempty"`
	Environment        Environment `json:"environment"`
	ServiceRole        string      `json:"serviceRole,omitempty"`

	Timeout       int `json:"timeoutInMinutes,omitempty"`       // of a build, 0 for 60
	QueuedTimeout int `json:"queuedTimeoutInMinutes,omitempty"` // before it begins, 0 for 480
	// Limit is how many builds of the project run at once, 0 for any number.
	Limit int `json:"concurrentBuildLimit,omitempty"`

	Tags          []Tag           `json:"tags,omitempty"`
	AutoRetry     int             `json:"autoRetryLimit,omitempty"`
	Cache         json.RawMessage `json:"cache,omitempty"`
	LogsConfig    json.RawMessage `json:"logsConfig,omitempty"`
	Vpc           json.RawMessage `json:"vpcConfig,omitempty"`
	FileSystems   json.RawMessage `json:"fileSystemLocations,omitempty"`
	Batch         *BatchConfig    `json:"buildBatchConfig,omitempty"`
	EncryptionKey string          `json:"encryptionKey,omitempty"`
	Badge         bool            `json:"badgeEnabled,omitempty"`
}

// Tag is a word about a project, for people.
type Tag struct {
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
}

// Changed is the definition with other values for the members that are given,
// each replaced as a whole.
func (d Definition) Changed(members map[string]json.RawMessage) (Definition, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return Definition{}, fmt.Errorf("change project %s: %w", d.Name, err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		return Definition{}, fmt.Errorf("change project %s: %w", d.Name, err)
	}
	maps.Copy(all, members)
	if text, err = json.Marshal(all); err != nil {
		return Definition{}, fmt.Errorf("change project %s: %w", d.Name, err)
	}
	var changed Definition
	if err := json.Unmarshal(text, &changed); err != nil {
		return Definition{}, Refuse(ErrInvalid, "read the project: %v", err)
	}
	return changed, nil
}

// Clone is a definition whose lists can be changed.
func (d Definition) Clone() Definition {
	d.SecondarySources, d.SecondaryVersions = slices.Clone(d.SecondarySources), slices.Clone(d.SecondaryVersions)
	d.SecondaryArtifacts = slices.Clone(d.SecondaryArtifacts)
	d.Environment.Variables = slices.Clone(d.Environment.Variables)
	return d
}

// Lasts is how long a build may take from its first phase on.
func (d Definition) Lasts() time.Duration { return minutes(d.Timeout, defaultTimeout) }

// Waits is how long a build may wait before its first phase.
func (d Definition) Waits() time.Duration { return minutes(d.QueuedTimeout, longestQueued) }

// minutes is so many of them, or the usual ones.
func minutes(given, usual int) time.Duration {
	if given == 0 {
		given = usual
	}
	return time.Duration(given) * time.Minute
}

// AsBatch is how a batch of the project is run.
func (d Definition) AsBatch() *pipeline.Batch {
	return &pipeline.Batch{Combine: d.Batch != nil && d.Batch.Combine != nil && *d.Batch.Combine}
}
