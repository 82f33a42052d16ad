package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/towline/towline/internal/buildspec"
)

// Keeper restores and saves the cache of one build. What goes wrong is said in
// the log of the build: a cache saves time, and its loss fails nothing.
type Keeper struct {
	Cache    buildspec.Cache
	Archives Archives
	// Places are where files may be kept from, the source first.
	Places []Place
	// Owner is the user and group ID of what is restored, -1 for this process's
	// own.
	Owner  int
	Limits Limits
	// Printf writes a line to the log of the build.
	Printf func(format string, args ...any)

	key   string
	found *Entry // what was restored
	broke bool   // the key is not known: nothing is saved
}

// Expand lets the shell of the build replace what texts hold of variables and
// commands.
type Expand func(ctx context.Context, texts []string) ([]string, error)

// Restore writes the files of the cache where they came from. A file that is
// there stays as it is: the source is newer. The error is that of expand, which
// means that the build cannot go on.
func (k *Keeper) Restore(ctx context.Context, expand Expand) error {
	if k.Limits == (Limits{}) {
		k.Limits = Default()
	}
	texts := slices.Concat([]string{k.Cache.Key}, k.Cache.Fallback, k.Cache.Paths)
	expanded, err := expand(ctx, texts)
	if err != nil {
		return err
	}
	if len(expanded) != len(texts) {
		k.broke = true
		k.Printf("warning: cache: the shell cannot read the key or a path; nothing is restored or saved")
		return nil
	}
	n := len(k.Cache.Fallback)
	fallback := slices.DeleteFunc(slices.Clone(expanded[1:1+n]), func(key string) bool { return key == "" })
	k.key, k.Cache.Paths = expanded[0], expanded[1+n:]
	if k.Cache.Key != "" && k.key == "" {
		k.broke = true
		k.Printf("warning: cache: the key %s is empty once its variables are replaced; nothing is restored or saved", k.Cache.Key)
		return nil
	}
	if k.Cache.Action == buildspec.CacheSave {
		return nil
	}
	if k.key == "" {
		fallback = nil
	}
	k.restore(ctx, fallback)
	return nil
}

func (k *Keeper) restore(ctx context.Context, fallback []string) {
	began := time.Now()
	entry, archive, err := k.Archives.Find(ctx, k.key, fallback)
	if errors.Is(err, ErrNone) {
		k.Printf("cache: there is none yet%s", named(k.key))
		return
	}
	if err != nil {
		k.Printf("warning: cache: %v", err)
		return
	}
	defer archive.Close()
	files, left, err := k.unpack(ctx, archive)
	if err != nil {
		// What was restored stays: tools check what they find.
		k.Printf("warning: cache: the archive%s cannot be restored whole and is dropped: %v", named(entry.Key), err)
		if err := k.Archives.Drop(ctx, entry.Key); err != nil {
			k.Printf("warning: cache: %v", err)
		}
		return
	}
	k.found = &entry
	text := ""
	if left > 0 {
		text = fmt.Sprintf("; %d are in the source already, and stay as they are there", left)
	}
	k.Printf("cache: restored %s%s (%v)%s", count(files), named(entry.Key), time.Since(began).Round(time.Millisecond), text)
}

// Save keeps the files for later builds, unless they are kept already: a key
// names the same files for ever, and without a key they are compared.
func (k *Keeper) Save(ctx context.Context) {
	if k.broke || k.Cache.Action == buildspec.CacheRestore {
		return
	}
	if k.found != nil && k.key != "" && k.found.Key == k.key {
		return
	}
	if k.key != "" && k.there(ctx) {
		return
	}
	began := time.Now()
	files, err := k.list(ctx)
	if err != nil {
		k.Printf("warning: cache: %v", err)
		return
	}
	if len(files) == 0 {
		k.Printf("cache: no file matches its paths; nothing is saved")
		return
	}
	entry := Entry{Key: k.key, Print: fingerprint(files)}
	if k.found != nil && *k.found == entry {
		return
	}
	err = k.Archives.Put(ctx, entry, func(w io.Writer) error { return k.pack(ctx, w, files) })
	if err != nil {
		k.Printf("warning: cache: it is not saved: %v", err)
		return
	}
	k.Printf("cache: saved %s%s (%v)", count(len(files)), named(k.key), time.Since(began).Round(time.Millisecond))
}

// there tells whether another build has saved the key meanwhile.
func (k *Keeper) there(ctx context.Context) bool {
	_, archive, err := k.Archives.Find(ctx, k.key, nil)
	if err != nil {
		return false
	}
	return archive.Close() == nil
}

func named(key string) string {
	if key == "" {
		return ""
	}
	return " of the key " + key
}

func count(files int) string {
	if files == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", files)
}
