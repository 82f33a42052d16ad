//go:build linux

package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// stamp tells a file from what it is after a change. The time of its inode
// cannot be set back, as that of its content can.
type stamp struct {
	inode   uint64
	mode    fs.FileMode
	size    int64
	changed syscall.Timespec
}

// Snapshot is how the files of a directory were at one moment.
type Snapshot struct {
	dir   string
	files map[string]stamp
}

// Take remembers the files of a directory.
func Take(dir string) (*Snapshot, error) {
	s := &Snapshot{dir: dir, files: map[string]stamp{}}
	err := s.walk(func(below string, info fs.FileInfo) { s.files[below] = stampOf(info) })
	return s, err
}

func (s *Snapshot) walk(see func(below string, info fs.FileInfo)) error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return fmt.Errorf("look at the files: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(below string, entry fs.DirEntry, err error) error {
		if err != nil || below == "." {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			see(below, info)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("look at the files: %w", err)
	}
	return nil
}

// Unchanged tells whether a file is still the one that it was.
func (s *Snapshot) Unchanged(below string, info fs.FileInfo) bool {
	was, known := s.files[below]
	return known && was == stampOf(info)
}

// Gone are the files and directories that are there no more, by their paths
// below the directory, sorted.
func (s *Snapshot) Gone() ([]string, error) {
	present := map[string]bool{}
	if err := s.walk(func(below string, _ fs.FileInfo) { present[below] = true }); err != nil {
		return nil, err
	}
	gone := []string{}
	for below := range s.files {
		if !present[below] {
			gone = append(gone, below)
		}
	}
	slices.Sort(gone)
	return gone, nil
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{mode: info.Mode(), size: info.Size()}
	if info.IsDir() {
		return stamp{mode: info.Mode()}
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode, s.changed = sys.Ino, sys.Ctim
	}
	return s
}
