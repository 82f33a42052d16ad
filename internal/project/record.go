package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
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

// Delivered is an artifact that has been put into a bucket.
type Delivered struct {
	Identifier string `json:"identifier,omitempty"` // of a secondary one
	Location   string `json:"location"`             // bucket/key
	Digest     string `json:"digest"`               // sha256:hex of the archive
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

// Phase is one phase of a build.
type Phase struct {
	Name    string    `json:"name"`
	Status  Status    `json:"status"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Message string    `json:"message,omitempty"` // why it did not succeed
}

// The phases of a build, in their order.
const (
	PhaseSubmitted    = "SUBMITTED"
	PhaseQueued       = "QUEUED"
	PhaseProvisioning = "PROVISIONING"
	PhaseSource       = "DOWNLOAD_SOURCE"
	PhaseInstall      = "INSTALL"
	PhasePreBuild     = "PRE_BUILD"
	PhaseBuild        = "BUILD"
	PhasePostBuild    = "POST_BUILD"
	PhaseUpload       = "UPLOAD_ARTIFACTS"
	PhaseFinalizing   = "FINALIZING"
	PhaseCompleted    = "COMPLETED"
)

// Done tells whether nothing of the build runs or waits any more.
func (b Build) Done() bool { return b.Status != InProgress }

// enter begins a phase, unless it lasts already; the one before it has succeeded
// by then.
func (b *Build) enter(phase string, now time.Time) {
	if phase = b.phase(phase); phase == "" || b.Phase == phase {
		return
	}
	b.leave(Succeeded, "", now)
	b.Phase = phase
	b.Phases = append(b.Phases, Phase{Name: phase, Status: InProgress, Started: now})
}

// leave ends the phase that lasts.
func (b *Build) leave(status Status, message string, now time.Time) {
	if n := len(b.Phases); n > 0 && b.Phases[n-1].Ended.IsZero() {
		last := &b.Phases[n-1]
		last.Status, last.Message, last.Ended = status, message, now
	}
}

// end ends the build.
func (b *Build) end(status Status, message string, now time.Time) {
	b.leave(status, message, now)
	b.Status, b.Message, b.Ended = status, message, now
	b.Phase = b.phase(PhaseCompleted)
	b.Phases = append(b.Phases, Phase{Name: b.Phase, Status: status, Started: now, Ended: now})
}

// stored is the build as the store keeps it.
func (b Build) stored() (store.Build, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return store.Build{}, fmt.Errorf("encode build %s: %w", b.ID, err)
	}
	return store.Build{
		ID: b.ID, Project: b.Project, Number: b.Number, Batch: b.Batch != nil, PartOf: b.PartOf, Status: string(b.Status),
		Ended: b.Done(), Tested: b.Tests != nil, Record: text,
	}, nil
}

func read(stored store.Build) (b Build, err error) {
	if err := json.Unmarshal(stored.Record, &b); err != nil {
		return b, fmt.Errorf("read build %s: %w", stored.ID, err)
	}
	return b, nil
}

func readAll(stored []store.Build) ([]Build, error) {
	all := make([]Build, 0, len(stored))
	for _, one := range stored {
		b, err := read(one)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// load loads a build within a transaction.
func load(ctx context.Context, q store.Querier, id string) (Build, error) {
	stored, err := store.GetBuild(ctx, q, id)
	if err != nil {
		return Build{}, err
	}
	return read(stored)
}

// loadBatch loads a batch within a transaction. The error is an *Error of the
// kind ErrNotFound or ErrInvalid when there is none of that id.
func loadBatch(ctx context.Context, q store.Querier, id string) (Build, error) {
	b, err := load(ctx, q, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Build{}, refuse(ErrNotFound, "there is no batch of builds %.300q", id)
	case err == nil && b.Batch == nil:
		return Build{}, refuse(ErrInvalid, "%s is a build, and no batch of builds", id)
	}
	return b, err
}

// keep keeps a build within a transaction.
func keep(ctx context.Context, q store.Querier, b Build) error {
	stored, err := b.stored()
	if err != nil {
		return err
	}
	return store.SetBuild(ctx, q, stored)
}
