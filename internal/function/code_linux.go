//go:build linux

package function

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Code is where the files of functions come from. It is called when a function
// is invoked whose files are not unpacked yet.
type Code interface {
	// Unpack writes the files of an artifact into dir, which it makes.
	Unpack(ctx context.Context, digest, dir string) error
}

// unusedFor is how long unpacked code stays that nobody invokes: longer than
// any invocation may take.
const unusedFor = 24 * time.Hour

// unpacked is the directory with the files of a digest, which every user may
// read. Several may ask for the same one at once.
func (r *Runner) unpacked(ctx context.Context, digest string) (string, error) {
	name := strings.ReplaceAll(digest, ":", "-")
	if !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) || name == "." {
		return "", fmt.Errorf("unpack the function: %q is no digest", digest)
	}
	place := filepath.Join(r.config.Dir, "code", name)
	now := time.Now()
	if err := os.Chtimes(place, now, now); err == nil {
		return place, nil
	}
	temporary, err := os.MkdirTemp(filepath.Dir(place), ".new-*")
	if err != nil {
		return "", fmt.Errorf("unpack the function: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }() // it is gone when all went well
	if err := r.config.Code.Unpack(ctx, digest, temporary); err != nil {
		return "", fmt.Errorf("unpack the function: %w", err)
	}
	if err := publish(temporary); err != nil {
		return "", fmt.Errorf("unpack the function: %w", err)
	}
	err = os.Rename(temporary, place)
	if errors.Is(err, fs.ErrExist) || err != nil && isDir(place) {
		return place, nil // somebody else was quicker
	}
	if err != nil {
		return "", fmt.Errorf("unpack the function: %w", err)
	}
	return place, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// publish lets every user read a tree, and run what its owner can run.
func publish(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return root.Chmod(path, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		if info.Mode()&0o100 != 0 {
			mode = 0o555
		}
		return root.Chmod(path, mode)
	})
}

// Tidy removes unpacked code that nobody has invoked for a day.
func (r *Runner) Tidy(now time.Time) error {
	dir := filepath.Join(r.config.Dir, "code")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("tidy up the functions' code: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || now.Sub(info.ModTime()) < unusedFor {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			errs = append(errs, fmt.Errorf("tidy up the functions' code: %w", err))
		}
	}
	return errors.Join(errs...)
}
