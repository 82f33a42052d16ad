package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/store"
)

// abandoned is the age at which an upload in parts that nobody completes is
// given up.
const abandoned = 7 * 24 * time.Hour

// Sweep gives up uploads that nobody completes, and removes bytes that a crash
// has left without an object. What is taken in at the same moment is told to be
// sent again; so it is best called before anything is served.
func (h *Handler) Sweep(ctx context.Context) error {
	old, err := h.Objects.UploadsBefore(ctx, h.Now().Add(-abandoned))
	if err != nil {
		return err
	}
	for _, u := range old {
		if err := h.giveUp(ctx, u.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("give up upload %s: %w", u.ID, err)
		}
	}
	return h.Bytes.Each(ctx, func(digest string) error { return h.drop(ctx, store.Chunk{Digest: digest}) })
}
