package access

import (
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Work is an action that somebody works on outside of Towline, as far as its
// artifacts go.
type Work struct {
	Job      string // the job's id, a UUID
	Pipeline string
	Inputs   []pipeline.Artifact
	Outputs  []string // names
}

// Given is what who works on it gets: where the zip archives of the artifacts
// are to be read and put, in the order of Work, and what to sign in with.
type Given struct {
	Inputs      []Object
	Outputs     []Object
	Credentials Credentials
}

// Handover gives the artifacts of an action to who works on it, and takes what
// they have made. It is safe for concurrent use.
type Handover interface {
	// Give makes credentials that are good for these artifacts, for the result
	// of the job, and for the time.
	Give(ctx context.Context, w Work, lasting time.Duration) (Given, error)
	// Take makes artifacts of the outputs that were put, and leaves out those
	// that were not. The error is a *BadArchive for one that is no archive of
	// plain files.
	Take(ctx context.Context, w Work) ([]pipeline.Artifact, error)
	// End makes the credentials good for nothing, and forgets what was put and
	// not taken. It is called when the action has ended.
	End(ctx context.Context, w Work) error
}

// BadArchive is an output that is no zip archive, or one that nobody should
// unpack.
type BadArchive struct {
	Artifact string
	Reason   string
}

func (e *BadArchive) Error() string {
	return fmt.Sprintf("the output artifact %s is no zip archive that can be unpacked: %s", e.Artifact, e.Reason)
}
