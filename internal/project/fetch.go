package project

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/towline/towline/internal/pipeline"
)

// fetch stores the sources of a build as artifacts and notes what they are. It
// does nothing when that has been done.
func (r *Builder) fetch(ctx context.Context, b *Build, log io.Writer) error {
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
		further, err := r.Sources.Fetch(ctx, Fetch{Source: s, Version: d.versionOf(s), Dir: filepath.Join(dir, fmt.Sprint(i+1)), Log: log})
		if err != nil {
			return err
		}
		further.Artifact.Name = s.Identifier
		inputs = append(inputs, further.Artifact)
	}
	b.Inputs = inputs
	return nil
}

// versionOf is the version that is wanted of a secondary source.
func (d Definition) versionOf(s Source) string {
	for _, v := range d.SecondaryVersions {
		if v.Identifier == s.Identifier {
			return v.Version
		}
	}
	return ""
}
