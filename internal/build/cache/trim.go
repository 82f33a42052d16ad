package cache

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// abandoned is the age after which a half-written archive has no writer any
// more: no build runs that long.
const abandoned = 48 * time.Hour

// sweep removes what writers that were killed have left behind.
func (s Store) sweep() error {
	for _, end := range []string{newEnd, newEnd + recordEnd} {
		left, err := filepath.Glob(filepath.Join(s.Dir, "*", "*"+end))
		if err != nil {
			return err
		}
		for _, path := range left {
			info, err := os.Lstat(path)
			if err == nil && time.Since(info.ModTime()) > abandoned {
				err = os.Remove(path)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Trim removes archives, the longest unused first, until all together are no
// larger than Total, and what writers that were killed left behind.
func (s Store) Trim() error {
	all, total, err := s.archives()
	if err != nil {
		return fmt.Errorf("trim the caches: %w", err)
	}
	if err := s.sweep(); err != nil {
		return fmt.Errorf("trim the caches: %w", err)
	}
	slices.SortFunc(all, func(a, b archive) int { return a.used.Compare(b.used) })
	for _, a := range all {
		if total <= cmp.Or(s.Total, defaultTotal) {
			break
		}
		// The record first: without it nobody finds the archive.
		for _, end := range []string{entryEnd, archiveEnd} {
			if err := os.Remove(a.path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("trim the caches: %w", err)
			}
		}
		total -= a.size
	}
	return nil
}

type archive struct {
	path string // without its end
	size int64
	used time.Time
}

func (s Store) archives() (all []archive, total int64, err error) {
	err = filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // another process has removed it
		}
		if name, ok := strings.CutSuffix(path, archiveEnd); ok {
			a := archive{path: name, size: info.Size(), used: info.ModTime()}
			if record, err := os.Stat(name + entryEnd); err == nil {
				a.used = record.ModTime()
			}
			all, total = append(all, a), total+a.size
		}
		return nil
	})
	return all, total, err
}
