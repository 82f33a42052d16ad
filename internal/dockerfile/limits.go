package dockerfile

import (
	"cmp"
	"context"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// Limits bound what one build puts on the server's disk. Zero values mean those
// of DefaultLimits. What a build takes while it runs is on the disk of who builds.
type Limits struct {
	Image int64 // bytes of what comes out, compressed, with its bases
	Log   int64 // bytes of what its steps print, after which the rest is left out
}

// DefaultLimits are as generous as those of artifacts.
func DefaultLimits() Limits { return Limits{Image: 16 << 30, Log: 256 << 20} }

func (l Limits) orDefault() Limits {
	all := DefaultLimits()
	return Limits{Image: cmp.Or(l.Image, all.Image), Log: cmp.Or(l.Log, all.Log)}
}

// TooLarge is the refusal of an image that is larger than the limit.
func (l Limits) TooLarge() error {
	return Refuse("the image is larger than the limit of %d bytes; build in one stage and COPY what is needed into the last, and name what is not in .dockerignore", l.orDefault().Image)
}

// often is how often the size of what comes out is looked at. Within that time a
// disk takes some hundred megabytes.
const often = 250 * time.Millisecond

// bounded has a way build, and ends it when what comes out gets too large: the
// programs that write it know no limits.
func bounded(ctx context.Context, way Way, b Build) (Result, error) {
	within, end := context.WithCancelCause(ctx)
	defer end(nil)
	var watching sync.WaitGroup
	ended := make(chan struct{})
	watching.Go(func() {
		tick := time.NewTicker(often)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				if Weight(within, b.Output) > b.Limits.Image {
					end(b.Limits.TooLarge())
					return
				}
			}
		}
	})
	result, err := way.Build(within, b)
	close(ended)
	watching.Wait()
	if err == nil && Weight(ctx, b.Output) > b.Limits.Image {
		return result, b.Limits.TooLarge()
	}
	return result, err
}

// Weight is what the files below a directory take, in bytes. What vanishes or
// cannot be read takes nothing.
func Weight(ctx context.Context, dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ctx.Err()
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return ctx.Err()
	})
	return total
}
