package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

// place is the directory of one build while it runs, with a lock that its
// process holds.
type place struct {
	dir  string
	lock *os.File
}

const (
	lockName = "lock"
	jobDir   = "build" // of the build within its place
)

func newPlace(cache string) (place, error) {
	// The build's user passes through.
	if err := os.MkdirAll(cache, 0o711); err != nil {
		return place{}, fmt.Errorf("make a directory for the build: %w", err)
	}
	dir, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return place{}, fmt.Errorf("make a directory for the build: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return place{}, fmt.Errorf("make a directory for the build: %w", err)
	}
	lock, ok, err := lock(dir)
	if err != nil || !ok {
		return place{}, errors.Join(err, errors.New("lock the build's directory: another process has it"))
	}
	return place{dir, lock}, nil
}

// lock takes the lock of a build's directory; ok is false when a living process
// has it.
func lock(dir string) (file *os.File, ok bool, err error) {
	file, err = os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("lock the build's directory: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, true, nil
	}
	_ = file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("lock the build's directory: %w", err)
}

func (p place) remove() error {
	err := box.RemoveAll(p.dir)
	return errors.Join(err, p.lock.Close())
}

// sweep stops the builds of processes that are gone, which go on without them,
// and removes what they have left.
func (b Build) sweep(ctx context.Context) error {
	old, err := filepath.Glob(filepath.Join(b.Cache, "build-*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		lock, ok, err := lock(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !ok {
			continue
		}
		if err == nil {
			err = b.end(ctx, filepath.Join(dir, jobDir))
		}
		if err == nil {
			err = (place{dir, lock}).remove()
		}
		if err != nil {
			return fmt.Errorf("remove what an earlier build has left: %w", err)
		}
	}
	return nil
}

// end ends the builds of a process that is gone, by its directory. A Pod whose
// cluster does not let it be deleted is told of and left: it ends by itself, and
// must not hold up the builds of another cluster until then.
func (b Build) end(ctx context.Context, dir string) error {
	begun, err := build.Begun(dir)
	if err != nil {
		return err
	}
	gone, cancel := context.WithCancelCause(ctx)
	cancel(errLeft)
	for _, of := range begun {
		of.Log, of.LogFile = io.Discard, filepath.Join(dir, "left.log")
		// What it returns is that it was stopped, or how it had ended.
		_, err := b.Backend.Run(gone, of)
		if why := beside(err, errLeft); why != nil && of.Compute == pipeline.ComputePod {
			if err := b.Show(fmt.Sprintf("warning: an earlier build may be left in a Pod, which ends itself after a day at most: %v", why)); err != nil {
				return err
			}
		}
	}
	return nil
}

// beside is what an error says besides that it was stopped for a cause.
func beside(err, cause error) error {
	joined, ok := err.(interface{ Unwrap() []error }) // Only what was joined here is taken apart.
	switch {
	case errors.Is(err, cause) && !ok:
		return nil
	case !ok:
		return err
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		rest = append(rest, beside(e, cause))
	}
	return errors.Join(rest...)
}

// errLeft is why a build is stopped whose process is gone.
var errLeft = errors.New("the process that began the build is gone")
