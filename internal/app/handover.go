package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/s3"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// handover gives artifacts, as objects of S3, to those who work on a job.
type handover struct {
	store     *store.DB
	sessions  access.Sessions
	objects   *s3.Handler
	artifacts *artifact.Store
	dir       string // for archives that are unpacked
	now       func() time.Time
}

var _ access.Handover = handover{}

// outputs are where the outputs of an action are put: a key that nobody else's
// job has.
func (h handover) outputs(w access.Work) (places []access.Object) {
	id := strings.ReplaceAll(w.Job, "-", "")
	for _, name := range w.Outputs {
		places = append(places, access.Object{Bucket: store.ArtifactBucket, Key: w.Pipeline + "/" + name + "/" + id[:min(16, len(id))]})
	}
	return places
}

// Give implements access.Handover.
func (h handover) Give(ctx context.Context, w access.Work, lasting time.Duration) (access.Given, error) {
	given := access.Given{Outputs: h.outputs(w)}
	err := h.store.Update(ctx, func(q store.Querier) error {
		for _, a := range w.Inputs {
			// It is there already, but for one that a rollback has brought along
			// from before there were objects.
			if err := store.AddArtifact(ctx, q, w.Pipeline, a, h.now()); err != nil {
				return err
			}
			given.Inputs = append(given.Inputs, access.Object{Bucket: store.ArtifactBucket, Key: store.ArtifactKey(w.Pipeline, a)})
		}
		return nil
	})
	if err != nil {
		return access.Given{}, err
	}
	given.Credentials, err = h.sessions.Issue(ctx, access.Scope{Job: w.Job, Reads: given.Inputs, Writes: given.Outputs}, lasting)
	return given, err
}

// takeWithin bounds how long the outputs of one action are unpacked and packed.
const takeWithin = 15 * time.Minute

// Take implements access.Handover. It goes on when a client has given up waiting
// for it: the next time that it asks, large outputs are done.
func (h handover) Take(ctx context.Context, w access.Work) (made []pipeline.Artifact, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeWithin)
	defer cancel()
	for i, place := range h.outputs(w) {
		a, err := h.take(ctx, w.Outputs[i], place)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		made = append(made, a)
	}
	return made, nil
}

// take makes an artifact of one output. Its files are packed anew, so that the
// same files have the same digest, whoever made the archive.
func (h handover) take(ctx context.Context, name string, place access.Object) (pipeline.Artifact, error) {
	in, known, err := h.objects.Open(ctx, place)
	if err != nil {
		return pipeline.Artifact{}, err
	}
	defer in.Close()
	if known.Artifact != "" {
		return pipeline.Artifact{Name: name, Digest: known.Artifact, Size: known.Size}, nil // Taken before.
	}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return pipeline.Artifact{}, fmt.Errorf("unpack output %s: %w", name, err)
	}
	dir, err := os.MkdirTemp(h.dir, "output-")
	if err != nil {
		return pipeline.Artifact{}, fmt.Errorf("unpack output %s: %w", name, err)
	}
	defer os.RemoveAll(dir)
	file, err := os.Create(filepath.Join(dir, "archive"))
	if err != nil {
		return pipeline.Artifact{}, fmt.Errorf("unpack output %s: %w", name, err)
	}
	defer file.Close()
	size, err := io.Copy(file, in)
	if err != nil {
		return pipeline.Artifact{}, fmt.Errorf("unpack output %s: %w", name, err)
	}
	files := filepath.Join(dir, "files")
	if err := h.artifacts.Unzip(ctx, file, size, files); err != nil {
		if _, ours := errors.AsType[*fs.PathError](err); ours || ctx.Err() != nil {
			return pipeline.Artifact{}, err
		}
		return pipeline.Artifact{}, &access.BadArchive{Artifact: name, Reason: err.Error()}
	}
	a := pipeline.Artifact{Name: name}
	if a.Digest, a.Size, err = h.artifacts.Pack(ctx, files, nil); err != nil {
		return pipeline.Artifact{}, fmt.Errorf("store output %s: %w", name, err)
	}
	return a, h.objects.Settle(ctx, place, a.Digest, a.Size)
}

// End implements access.Handover.
func (h handover) End(ctx context.Context, w access.Work) error {
	errs := []error{h.sessions.End(ctx, w.Job)}
	for _, place := range h.outputs(w) {
		errs = append(errs, h.objects.Discard(ctx, place))
	}
	return errors.Join(errs...)
}

// handover is that of this server.
func (a *App) handover() handover {
	return handover{store: a.store, sessions: a.sessions(), objects: a.s3, artifacts: a.artifacts, dir: filepath.Join(a.options.Server.Data, "outputs"), now: time.Now}
}
