package s3

import (
	"context"
	"errors"
	"io"
	"strings"

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

// Settle lets an object be an execution's artifact from now on, of that digest
// and size, whose bytes lie with the artifacts. What was put there before is
// gone.
func (h *Handler) Settle(ctx context.Context, at access.Object, digest string, size int64) error {
	before, err := h.Objects.Object(ctx, at.Bucket, at.Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	hex := strings.TrimPrefix(digest, "sha256:")
	err = h.Objects.PutObject(ctx, store.Object{
		Bucket: at.Bucket, Key: at.Key, Size: size, ETag: hex[:min(32, len(hex))] + "-1", Headers: map[string]string{"Content-Type": "application/zip"},
		Modified: h.Now(), Artifact: digest,
	})
	if err != nil {
		return err
	}
	return h.drop(context.WithoutCancel(ctx), before.Chunks...)
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
