package project

import (
	"fmt"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Build is the record of one build of a project, or of a batch of builds.
//
//nolint:recvcheck // a record is a value for all who read it; its own room alone changes one
type Build struct {
	ID      string `json:"id"` // project:UUID
	Project string `json:"project"`
	Number  int    `json:"number"` // within its project, from 1
	Status  Status `json:"status"`
	// Phase is the one that the build is in; Phases are those that it has been
	// in, and the last of them is that one too while it lasts.
	Phase  string  `json:"phase"`
	Phases []Phase `json:"phases"`
	// Definition is the project as this build runs it.
	Definition Definition `json:"definition"`
	// Version is what was asked for of the source, Resolved what it was then: a
	// commit, or the version of an object.
	Version  string            `json:"version,omitempty"`
	Resolved string            `json:"resolved,omitempty"`
	Revision pipeline.Revision `json:"revision,omitzero"`
	// Initiator is who started it: a person, or codepipeline/ and a name.
	Initiator string `json:"initiator"`
	Region    string `json:"region,omitempty"` // that AWS's clients see in names

	Started time.Time `json:"started"` // when it was asked for
	// Running is since when it has not been waiting any more, zero before.
	Running time.Time `json:"running,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Message string    `json:"message,omitempty"` // why it did not succeed

	Inputs    []pipeline.Artifact  `json:"inputs,omitempty"`    // nil before they were fetched
	Artifacts []pipeline.Artifact  `json:"artifacts,omitempty"` // that it made
	Delivered []Delivered          `json:"delivered,omitempty"` // where they went
	Exported  map[string]string    `json:"exported,omitempty"`
	Tests     *pipeline.TestReport `json:"tests,omitempty"`
	Reports   []string             `json:"reports,omitempty"` // their ids

	// Batch runs the builds of the buildspec's batch instead of the one build,
	// when it is not nil; Groups are these builds, once the buildspec was read.
	Batch  *pipeline.Batch `json:"batch,omitempty"`
	Groups []Group         `json:"groups,omitempty"`
	Rerun  int             `json:"rerun,omitempty"` // how often the batch was run again
	// PartOf is the id of the batch that the build belongs to, and Identifier
	// its name there.
	PartOf     string `json:"partOf,omitempty"`
	Identifier string `json:"identifier,omitempty"`

	Stopping bool   `json:"stopping,omitempty"` // somebody wants it to end
	RetryOf  string `json:"retryOf,omitempty"`  // the id of the build that it does again
	Retries  int    `json:"retries,omitempty"`  // how often it was done again by itself
	// Action is the action of a pipeline that it is, nil for others. The
	// pipeline's engine takes such a build up again, and keeps its log.
	Action *ActionRef `json:"action,omitempty"`
}

// ActionRef names an attempt of an action of a pipeline.
type ActionRef struct {
	Execution string `json:"execution"`
	Stage     string `json:"stage"`
	Attempt   int    `json:"attempt"`
	Name      string `json:"name"`
	LogFile   string `json:"logFile"`
}

// Status is how a build stands.
type Status string

// The statuses of builds and of their phases.
const (
	InProgress Status = "IN_PROGRESS"
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"    // the user's work said no
	Fault      Status = "FAULT"     // Towline could not run it
	TimedOut   Status = "TIMED_OUT" // it took longer than it may
	Stopped    Status = "STOPPED"   // somebody stopped it
)

// Done tells whether nothing of the build runs or waits any more.
func (b Build) Done() bool { return b.Status != InProgress }

// UUID is the part of the build's id behind its project.
func (b Build) UUID() string {
	_, uuid, _ := strings.Cut(b.ID, ":")
	return uuid
}

// noRegion stands in names where no client has told its region.
const noRegion = "us-east-1"

// ARN is the build's name in AWS's form.
func (b Build) ARN(account string) string {
	region := b.Region
	if region == "" {
		region = noRegion
	}
	return fmt.Sprintf("arn:aws:codebuild:%s:%s:build/%s", region, account, b.ID)
}

// StageName and ActionName stand where a build has an action that no pipeline
// has.
const (
	StageName  = "Build"
	ActionName = "build"
)

// Attempt names what the reports of a build are kept by: an action of a pipeline,
// or its own.
func (b Build) Attempt() ActionRef {
	if b.Action != nil {
		return *b.Action
	}
	return ActionRef{Execution: b.UUID(), Stage: StageName, Attempt: 1, Name: ActionName}
}

// ArtifactName is what a build calls the artifact of an identifier.
func (b Build) ArtifactName(identifier string) string {
	if b.PartOf == "" {
		return identifier
	}
	return pipeline.SecondaryOf(b.Identifier, identifier)
}

// Result is what a build that has ended has made.
func (b Build) Result() pipeline.Result {
	result := pipeline.Result{Outcome: pipeline.Succeeded, Message: b.Message, Variables: b.Exported, Artifacts: b.Artifacts, Tests: b.Tests}
	if b.Status != Succeeded {
		result.Outcome = pipeline.Failed
	}
	return result
}
