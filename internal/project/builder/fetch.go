package builder

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
)

// Sources fetch what builds begin with. Calls overlap.
type Sources interface {
	// Fetch stores the files of a source, at a version of it or as it is now,
	// as an artifact. Error says what the user can mend, a *project.Error.
	// Fetching the same again does no harm.
	Fetch(ctx context.Context, f Fetch) (Fetched, error)
}

// Fetch asks for a source.
type Fetch struct {
	Source  project.Source
	Version string // branch, tag, commit or version of an object; "" for what is newest
	// Dir is a directory that is empty or has what an earlier call has left.
	Dir string
	Log io.Writer
}

// Fetched is what there is of a source.
type Fetched struct {
	Artifact pipeline.Artifact // its name is not used
	Resolved string            // the version: a commit, or that of an object
	Revision pipeline.Revision // of a git repository
}

// fetch stores the sources of a build as artifacts and notes what they are. It
// does nothing when that has been done.
func (r *Builder) fetch(ctx context.Context, b *project.Build, log io.Writer) error {
	dir := filepath.Join(r.workDir(*b), "fetch")
	d := b.Definition
	first, err := r.Sources.Fetch(ctx, Fetch{Source: d.Source, Version: b.Version, Dir: filepath.Join(dir, "0"), Log: log})
	if err != nil {
		return err
	}
	first.Artifact.Name = "source"
	inputs := []pipeline.Artifact{first.Artifact}
	b.Resolved, b.Revision = first.Resolved, first.Revision
	for i, s := range d.SecondarySources {
		further, err := r.Sources.Fetch(ctx, Fetch{Source: s, Version: d.VersionOf(s), Dir: filepath.Join(dir, fmt.Sprint(i+1)), Log: log})
		if err != nil {
			return err
		}
		further.Artifact.Name = s.Identifier
		inputs = append(inputs, further.Artifact)
	}
	b.Inputs = inputs
	return nil
}
