package buildah

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/dockerfile"
)

// bound removes the oldest of what is kept when that has grown beyond the limit,
// until a quarter is free again. While somebody builds it removes nothing: a later
// build does it then. Buildah knows no such thing, so it is told image by image;
// each step that is kept is one.
func (b *Buildah) bound(ctx context.Context, w *work) error {
	if !b.grown(ctx, b.CacheLimit) {
		return ctx.Err()
	}
	done, alone := b.kept.alone()
	if !alone {
		return nil
	}
	defer done()
	// What builds that were ended have left belongs to nobody.
	if err := w.run(ctx, io.Discard, "rm", "--all"); err != nil {
		return fmt.Errorf("remove what ended builds have left: %w", err)
	}
	for b.grown(ctx, b.CacheLimit/4*3) {
		oldest, err := w.oldest(ctx)
		if err != nil || len(oldest) == 0 {
			return err
		}
		if err := w.run(ctx, io.Discard, append([]string{"rmi", "--force"}, oldest...)...); err != nil {
			return fmt.Errorf("remove the oldest of what is kept: %w", err)
		}
	}
	return ctx.Err()
}

func (b *Buildah) grown(ctx context.Context, limit int64) bool {
	return dockerfile.Weight(ctx, b.root()) > limit
}

// oldest are a quarter of the images that are kept, those that were made first,
// and one at least. Buildah tells when their contents say that they were made,
// which is 1970 for all; the store tells better.
func (w *work) oldest(ctx context.Context) ([]string, error) {
	var said bytes.Buffer
	if err := w.run(ctx, &said, "images", "--all", "--quiet", "--no-trunc"); err != nil {
		return nil, fmt.Errorf("list what is kept: %w", err)
	}
	made := map[string]time.Time{}
	for line := range strings.Lines(said.String()) {
		id := strings.TrimPrefix(strings.TrimSpace(line), "sha256:")
		// The store has a directory for each image, below one named for its driver.
		found, err := filepath.Glob(filepath.Join(w.buildah.root(), "*-images", id))
		if err != nil || len(found) != 1 {
			continue // It is no ID, or gone.
		}
		if info, err := os.Stat(found[0]); err == nil {
			made[id] = info.ModTime()
		}
	}
	ids := make([]string, 0, len(made))
	for id := range made {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(made[a].Compare(made[b]), cmp.Compare(a, b)) })
	return ids[:(len(ids)+3)/4], nil
}
