package s3

import (
	"context"
	"errors"
	"io"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/store"
)

// Open reads a whole object, for rooms of this server, and tells what is known
// of it. The error wraps store.ErrNotFound when there is none.
func (h *Handler) Open(ctx context.Context, at access.Object) (io.ReadCloser, store.Object, error) {
	o, err := h.Objects.Object(ctx, at.Bucket, at.Key)
	if err != nil {
		return nil, o, err
	}
	in, err := h.open(ctx, o, stretch{length: o.Size})
	if err != nil {
		return nil, o, err
	}
	return in, o, nil
}

// Settle lets an object that was put be an execution's artifact from now on, of
// that digest and size, whose bytes lie with the artifacts.
func (h *Handler) Settle(ctx context.Context, at access.Object, digest string, size int64) error {
	o, err := h.Objects.Object(ctx, at.Bucket, at.Key)
	if err != nil {
		return err
	}
	chunks := o.Chunks
	o.Artifact, o.Size, o.Chunks, o.Modified = digest, size, nil, h.Now()
	// Its bytes are others than those that were put.
	o.ETag, o.Headers = digest[len("sha256:"):][:32]+"-1", map[string]string{"Content-Type": "application/zip"}
	if err := h.Objects.PutObject(ctx, o); err != nil {
		return err
	}
	return h.drop(context.WithoutCancel(ctx), chunks...)
}

// Discard takes away an object that was put and is no artifact.
func (h *Handler) Discard(ctx context.Context, at access.Object) error {
	o, err := h.Objects.Object(ctx, at.Bucket, at.Key)
	if errors.Is(err, store.ErrNotFound) || err == nil && o.Artifact != "" {
		return nil
	}
	if err != nil {
		return err
	}
	return h.remove(ctx, at.Bucket, at.Key)
}
