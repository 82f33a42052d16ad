package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/build"
)

// place is the directory of one build while it runs, with a lock that its
// process holds.
type place struct {
	dir  string
	lock *os.File
}

const lockName = "lock"

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
	err := build.RemoveAll(p.dir)
	return errors.Join(err, p.lock.Close())
}

// sweep stops the builds of processes that are gone, which go on without them,
// and removes what they have left.
func (b Build) sweep(ctx context.Context) error {
	old, err := filepath.Glob(filepath.Join(b.Cache, "build-*"))
	if err != nil {
		return err
	}
	gone, cancel := context.WithCancelCause(ctx)
	cancel(errLeft)
	for _, dir := range old {
		lock, ok, err := lock(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !ok {
			continue
		}
		if err != nil {
			return err
		}
		inner := filepath.Join(dir, "build")
		if _, err := os.Stat(inner); err == nil {
			// What it returns is that it was stopped, or how it had ended.
			_, _ = b.Backend.Run(gone, build.Build{Pipeline: b.name(), Key: filepath.Base(dir), Dir: inner, Source: inner})
		}
		if err := (place{dir, lock}).remove(); err != nil {
			return fmt.Errorf("remove what an earlier build has left: %w", err)
		}
	}
	return nil
}

// errLeft is why a build is stopped whose process is gone.
var errLeft = errors.New("the process that began the build is gone")
