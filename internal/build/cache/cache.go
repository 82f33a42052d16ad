// Package cache keeps files of builds for later builds of the same pipeline, as
// a buildspec asks for with cache: a Keeper restores them before the first phase
// and saves them after a build that succeeded, and a Store has the archives. It
// runs where the build runs; the archives may be elsewhere, behind Archives. It
// knows nothing of phases and backends.
package cache

import (
	"context"
	"errors"
	"io"
)

// ErrNone is what Archives have when they have no archive of a key.
var ErrNone = errors.New("there is no such cache")

// Archives are the caches of one pipeline. A Keeper calls them from one
// goroutine, but several builds of a pipeline may run at once.
type Archives interface {
	// Find opens the archive of that key, or, of the first fallback that is the
	// beginning of any key, the newest. It returns the key that the archive has,
	// and ErrNone when there is nothing.
	Find(ctx context.Context, key string, fallback []string) (Entry, io.ReadCloser, error)
	// Put keeps what write writes. It replaces an archive of the same key; until
	// write has returned nil the earlier one stays.
	Put(ctx context.Context, e Entry, write func(io.Writer) error) error
	// Drop forgets an archive that turned out to be damaged. One that is not
	// there is no error.
	Drop(ctx context.Context, key string) error
}

// Entry is what is known of an archive.
type Entry struct {
	Key string `json:"key"` // "" where the buildspec names none
	// Print is the same for files that have not changed.
	Print string `json:"print"`
}

// Place is a directory whose files may be kept.
type Place struct {
	// Name stands for the directory in archives: another build may have it
	// elsewhere.
	Name string
	// Dir is the directory, Seen are the paths by which buildspecs know it.
	Dir  string
	Seen []string
}

// Limits bound what a cache may do to the machine that it comes to.
type Limits struct {
	Files int   // of one archive, with directories and links
	Bytes int64 // of all files of one archive, unpacked
}

// Default are the limits of a Keeper that says nothing.
func Default() Limits { return Limits{Files: 1_000_000, Bytes: 16 << 30} }
