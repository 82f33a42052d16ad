package builder

import (
	"context"
	"fmt"
	"io"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
)

// Buckets take the artifacts of builds. Calls overlap.
type Buckets interface {
	// Deliver puts an artifact into a bucket and returns the MD5 of its archive as
	// hex digits, or "" when it was unpacked. A *project.Error is the user's to
	// mend. Delivering the same again does no harm.
	Deliver(ctx context.Context, d Delivery) (md5 string, err error)
}

// Delivery is an artifact, and where it is to go.
type Delivery struct {
	Artifact pipeline.Artifact
	Bucket   string
	Key      string // of the archive, or what the keys of its files begin with
	Unpacked bool   // its files are wanted, not the archive
}

// deliver puts the artifacts of a build into the buckets that its project names.
func (r *Builder) deliver(ctx context.Context, b *project.Build, result pipeline.Result, log io.Writer) error {
	b.Delivered = nil
	d := b.Definition
	for i, to := range append([]project.Artifacts{d.Artifacts}, d.SecondaryArtifacts...) {
		if to.Type != project.ArtifactsS3 {
			continue
		}
		made, ok := find(result.Artifacts, b.ArtifactName(to.Identifier), i == 0)
		if !ok {
			return project.Refuse(project.ErrInvalid, "the project wants %s in bucket %s, and the build has made none: list its files under artifacts in the buildspec", named(to.Identifier), to.Location)
		}
		if r.Buckets == nil {
			return project.Refuse(project.ErrInvalid, "the project wants %s in bucket %s, and this server is connected to no bucket", named(to.Identifier), to.Location)
		}
		key := to.Key(b.ID, made.Name)
		unpacked := to.Packaging != "ZIP"
		sum, err := r.Buckets.Deliver(ctx, Delivery{Artifact: made, Bucket: to.Location, Key: key, Unpacked: unpacked})
		if err != nil {
			return err
		}
		delivered := project.Delivered{Identifier: to.Identifier, Location: to.Location + "/" + key}
		if !unpacked {
			delivered.Digest, delivered.MD5 = made.Digest, sum
		}
		b.Delivered = append(b.Delivered, delivered)
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

// find is the artifact of an identifier, or the first one for the primary one.
func find(made []pipeline.Artifact, identifier string, primary bool) (pipeline.Artifact, bool) {
	for i, a := range made {
		if primary && i == 0 || !primary && a.Name == identifier {
			return a, true
		}
	}
	return pipeline.Artifact{}, false
}
