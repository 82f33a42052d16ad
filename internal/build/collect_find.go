package build

import (
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

// mostVisited bounds how many files and directories are looked at for one
// artifact. Links to directories may show the same files again and again.
const mostVisited = 1_000_000

// search says which files are wanted.
type search struct {
	Files   []string // globs, relative to the base
	Exclude []string // globs, relative to the base
	Base    string   // relative to the source, or as the commands saw it; may be a glob
	// Symlinks finds links as such, and does not follow those to directories.
	Symlinks bool
}

// file is a file, or a link, that was found.
type file struct {
	root *os.Root
	path string // below root
	name string // below the base
	link bool   // path, or a directory in it, is a link
}

// find returns the files that are wanted, base by base, each sorted by name. A
// pattern that names a directory means all below it. The directory .git is left
// out.
func (t trees) find(s search) ([]file, error) {
	at, base, err := t.place(s.Base)
	if err != nil {
		return nil, err
	}
	f := finder{tree: at, links: !s.Symlinks}
	if f.globs, err = f.patterns(s.Files, base); err != nil {
		return nil, err
	}
	if f.exclude, err = f.patterns(s.Exclude, base); err != nil {
		return nil, err
	}
	bases, err := f.bases(base)
	if err != nil {
		return nil, err
	}
	for _, f.base = range bases {
		if err := f.walk(".", nil, false); err != nil {
			return nil, err
		}
	}
	return f.found, nil
}

// place says in which tree a base directory lies, and where in it.
func (t trees) place(base string) (tree, string, error) {
	base = path.Clean(filepath.ToSlash(base)) // "." of ""
	if !path.IsAbs(base) {
		if !filepath.IsLocal(base) {
			return tree{}, "", fmt.Errorf("base-directory %s is not inside the source", base)
		}
		return t.all[0], base, nil
	}
	best, below := tree{}, ""
	for _, one := range t.all {
		if rest, ok := inside(one.seen, base); ok && len(one.seen) > len(best.seen) {
			best, below = one, rest
		}
	}
	if best.root == nil {
		return tree{}, "", fmt.Errorf("base-directory %s is not inside the source", base)
	}
	return best, below, nil
}

// inside is the path of name below dir.
func inside(dir, name string) (string, bool) {
	if dir == "" {
		return "", false
	}
	if name == dir {
		return ".", true
	}
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(dir, "/")+"/")
	return rest, ok
}

// finder looks for files in a base directory.
type finder struct {
	tree
	base           string // below the tree's root
	globs, exclude []string
	links          bool // to be followed
	visited        int
	found          []file
}

// patterns checks globs. One that begins where the commands saw the tree is
// made relative to the base.
func (f *finder) patterns(of []string, base string) ([]string, error) {
	var globs []string
	for _, p := range of {
		glob := path.Clean(filepath.ToSlash(p))
		if rest, ok := inside(f.seen, glob); ok {
			glob = rest
			if base != "." {
				if glob, ok = inside(base, rest); !ok {
					return nil, fmt.Errorf("%q is not inside the base-directory %s", p, base)
				}
			}
		}
		if !filepath.IsLocal(glob) || !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("%q is not a pattern for files inside the source", p)
		}
		globs = append(globs, glob)
	}
	return globs, nil
}

// bases are the directories that a base-directory names.
func (f *finder) bases(base string) ([]string, error) {
	if base == "." {
		return []string{"."}, nil
	}
	// A link would not be followed by the walk and hardly be meant.
	if info, err := f.root.Lstat(base); err == nil && info.IsDir() {
		return []string{base}, nil
	}
	if !strings.ContainsAny(base, `*?[{\`) {
		return nil, fmt.Errorf("there is no directory %s, which base-directory names", base)
	}
	if !doublestar.ValidatePattern(base) {
		return nil, fmt.Errorf("base-directory %s is not a pattern for directories", base)
	}
	var bases []string
	err := fs.WalkDir(f.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == ".git" {
			return fs.SkipDir
		}
		if doublestar.MatchUnvalidated(base, name) {
			bases = append(bases, name)
		}
		return nil
	})
	if err == nil && len(bases) == 0 {
		err = fmt.Errorf("no directory matches %s, which base-directory names", base)
	}
	return bases, err
}

// walk looks at a directory below the base. Above are those that it was reached
// through, so that a link to one of them is not followed in circles.
func (f *finder) walk(dir string, above []fs.FileInfo, linked bool) error {
	at := path.Join(f.base, dir)
	if f.links {
		info, err := f.root.Stat(at)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
			return nil
		}
		above = append(slices.Clip(above), info)
	}
	entries, err := fs.ReadDir(f.root.FS(), at)
	if err != nil {
		return err
	}
	if f.visited += len(entries); f.visited > mostVisited {
		return errors.New("there are more than a million files, some of them behind links to directories; name fewer, or set enable-symlinks: yes")
	}
	for _, d := range entries {
		if err := f.entry(path.Join(dir, d.Name()), d, above, linked); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) entry(name string, d fs.DirEntry, above []fs.FileInfo, linked bool) error {
	kind := d.Type()
	if kind == fs.ModeSymlink && f.links {
		// A link that leads out of the tree, or nowhere, is found as such: who
		// packs says that it is left out.
		if info, err := f.root.Stat(path.Join(f.base, name)); err == nil {
			kind, linked = info.Mode().Type(), true
		}
	}
	switch {
	case kind.IsDir() && d.Name() == ".git":
		return nil
	case kind.IsDir():
		return f.walk(name, above, linked)
	case !kind.IsRegular() && kind != fs.ModeSymlink:
		return nil
	}
	if f.wanted(name) {
		f.found = append(f.found, file{root: f.root, path: path.Join(f.base, name), name: name, link: linked || kind == fs.ModeSymlink})
	}
	return nil
}

func (f *finder) wanted(name string) bool {
	match := func(glob string) bool { return matches(glob, name) }
	return slices.ContainsFunc(f.globs, match) && !slices.ContainsFunc(f.exclude, match)
}

func matches(glob, name string) bool {
	if glob == "." || strings.HasPrefix(name, glob+"/") {
		return true
	}
	return doublestar.MatchUnvalidated(glob, name)
}
