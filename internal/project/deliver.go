package project

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// deliver puts the artifacts of a build into the buckets that its project names.
func (r *Builder) deliver(ctx context.Context, b *Build, result pipeline.Result, log io.Writer) error {
	b.Delivered = nil
	d := b.Definition
	for i, to := range append([]Artifacts{d.Artifacts}, d.SecondaryArtifacts...) {
		if to.Type != ArtifactsS3 {
			continue
		}
		made, ok := find(result.Artifacts, b.artifact(to.Identifier), i == 0)
		if !ok {
			return refuse(ErrInvalid, "the project wants %s in bucket %s, and the build has made none: list its files under artifacts in the buildspec", named(to.Identifier), to.Location)
		}
		if r.Buckets == nil {
			return refuse(ErrInvalid, "the project wants %s in bucket %s, and this server is connected to no bucket", named(to.Identifier), to.Location)
		}
		key := to.key(b.ID, made.Name)
		if err := r.Buckets.Deliver(ctx, made, to.Location, key, to.Packaging != "ZIP"); err != nil {
			return err
		}
		b.Delivered = append(b.Delivered, Delivered{Identifier: to.Identifier, Location: to.Location + "/" + key, Digest: made.Digest})
		fmt.Fprintf(log, "%s is in bucket %s at %s\n", named(to.Identifier), to.Location, key)
	}
	return nil
}

func named(identifier string) string {
	if identifier == "" {
		return "the artifact"
	}
	return "artifact " + identifier
}

// artifact is what a build calls the artifact of an identifier.
func (b *Build) artifact(identifier string) string {
	if b.PartOf == "" {
		return identifier
	}
	return pipeline.SecondaryOf(b.Identifier, identifier)
}

// find is the artifact of an identifier, or the first one for the primary one.
func find(made []pipeline.Artifact, identifier string, primary bool) (pipeline.Artifact, bool) {
	for i, a := range made {
		if primary && i == 0 || !primary && a.Name == identifier {
			return a, true
		}
	}
	return pipeline.Artifact{}, false
}

// key is where in its bucket an artifact goes, by CodeBuild's rule:
// PATH/BUILD/NAME, of which all but the name may be missing. Each part is taken
// as a name, not as a way out of the others.
func (a Artifacts) key(build, made string) string {
	name := a.Name
	if a.ByBuild != nil && *a.ByBuild || name == "" || name == "/" {
		name = cmp.Or(made, name)
	}
	if a.Packaging == "ZIP" && !strings.HasSuffix(name, ".zip") && a.Name == "" {
		name += ".zip"
	}
	parts := []string{a.Path}
	if a.Namespace == "BUILD_ID" {
		_, uuid, _ := strings.Cut(build, ":")
		parts = append(parts, uuid)
	}
	parts = append(parts, name)
	for i, part := range parts {
		parts[i] = path.Clean("/" + part) // From its own root there is no way up.
	}
	return strings.TrimPrefix(path.Join(parts...), "/")
}
