package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// kept is a file, a directory or a link that the cache keeps.
type kept struct {
	place *Place
	name  string // below the place
	info  fs.FileInfo
}

// list finds what the paths of the cache name, sorted.
func (k *Keeper) list(ctx context.Context) ([]kept, error) {
	l := listing{ctx: ctx, most: k.Limits.Files, seen: map[string]bool{}}
	for _, p := range k.Cache.Paths {
		place, glob, err := k.place(p)
		if err != nil {
			k.Printf("warning: cache: %v", err)
			continue
		}
		if err := l.glob(place, glob); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.found, func(a, b kept) int {
		return strings.Compare(a.place.Name+"/"+a.name, b.place.Name+"/"+b.name)
	})
	return l.found, nil
}

// place says which place a path of the cache is in, and its glob below that.
func (k *Keeper) place(p string) (*Place, string, error) {
	clean := path.Clean(filepath.ToSlash(p))
	if !path.IsAbs(clean) {
		if !filepath.IsLocal(clean) || !doublestar.ValidatePattern(clean) {
			return nil, "", fmt.Errorf("%q is not a pattern for files inside the source", p)
		}
		return &k.Places[0], clean, nil
	}
	var best *Place
	below, longest := "", -1
	for i := range k.Places {
		for _, seen := range k.Places[i].Seen {
			rest, ok := strings.CutPrefix(clean+"/", strings.TrimSuffix(seen, "/")+"/")
			if ok && len(seen) > longest {
				best, below, longest = &k.Places[i], path.Clean(rest), len(seen)
			}
		}
	}
	if best == nil {
		return nil, "", fmt.Errorf("%s is left out: only files of the source and of the home directory can be kept here", p)
	}
	if !doublestar.ValidatePattern(below) {
		return nil, "", fmt.Errorf("%q is not a pattern for files", p)
	}
	return best, below, nil
}

// listing gathers files over several patterns.
type listing struct {
	ctx   context.Context
	most  int
	seen  map[string]bool
	found []kept
}

// glob adds what a pattern names. A pattern that names a directory means all
// below it. The walk begins where the pattern begins to be one.
func (l *listing) glob(place *Place, glob string) error {
	root, err := os.OpenRoot(place.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for files: %w", err)
	}
	defer root.Close()
	start, _ := doublestar.SplitPattern(glob)
	if info, err := root.Lstat(start); err != nil || !info.IsDir() && info.Mode().Type() != fs.ModeSymlink {
		start = glob // a single file, or nothing
	}
	err = fs.WalkDir(root.FS(), start, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case l.ctx.Err() != nil:
			return context.Cause(l.ctx)
		case name == "." || !matches(glob, name) || l.seen[place.Name+"/"+name]:
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // it is there no more
		}
		if t := info.Mode().Type(); t != 0 && t != fs.ModeDir && t != fs.ModeSymlink {
			return nil
		}
		if len(l.found) >= l.most {
			return fmt.Errorf("there are more than %d files; name fewer under cache.paths", l.most)
		}
		l.seen[place.Name+"/"+name] = true
		l.found = append(l.found, kept{place: place, name: name, info: info})
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for files: %w", err)
	}
	return nil
}

func matches(glob, name string) bool {
	if glob == "." || glob == name || strings.HasPrefix(name, glob+"/") {
		return true
	}
	return doublestar.MatchUnvalidated(glob, name)
}

// fingerprint is the same for the same files. Times count by the second, since
// not every file system keeps more.
func fingerprint(files []kept) string {
	sum := sha256.New()
	for _, f := range files {
		if f.info.IsDir() {
			continue // its time changes with what is made in it and removed
		}
		fmt.Fprintf(sum, "%s/%s\x00%d %d %d\n", f.place.Name, f.name, f.info.Size(), f.info.Mode(), f.info.ModTime().Unix())
	}
	return hex.EncodeToString(sum.Sum(nil))
}
