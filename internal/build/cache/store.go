package cache

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Store keeps archives in a directory, a directory of its own per pipeline, so
// that the builds of one need not see those of another. It is safe for
// concurrent use, by several processes too.
type Store struct {
	Dir string
	// Largest bounds one archive and Total all of them, in bytes. Trim removes
	// those first that were used the longest time ago.
	Largest, Total int64
}

// The bounds of a Store that says nothing.
const (
	defaultLargest = 5 << 30
	defaultTotal   = 20 << 30
)

// DirOf makes the directory of a pipeline's archives and returns it.
func (s Store) DirOf(pipeline string) (string, error) {
	if pipeline == "" || pipeline == "." || pipeline == ".." {
		return "", fmt.Errorf("keep caches: a pipeline cannot be named %q", pipeline)
	}
	dir := filepath.Join(s.Dir, url.PathEscape(pipeline))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("keep caches: %w", err)
	}
	return dir, nil
}

// Of are the caches of a pipeline.
func (s Store) Of(pipeline string) (Archives, error) {
	dir, err := s.DirOf(pipeline)
	if err != nil {
		return nil, err
	}
	return Dir{Path: dir, Largest: s.Largest}, nil
}

// Dir is the directory of one pipeline's archives.
type Dir struct {
	Path    string
	Largest int64 // of one archive in bytes, 5 GiB when 0
}

var _ Archives = Dir{}

const (
	archiveEnd = ".tar.zst"
	entryEnd   = ".json"
	newEnd     = ".new"
	recordEnd  = "-record" // behind newEnd, of an entry that is being written
)

// record is what lies beside an archive. The time of its file is when the
// archive was used last.
type record struct {
	Entry
	Saved time.Time `json:"saved"`
}

func (d Dir) path(key, end string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(d.Path, hex.EncodeToString(sum[:16])+end)
}

// Find implements Archives.
func (d Dir) Find(_ context.Context, key string, fallback []string) (Entry, io.ReadCloser, error) {
	all, err := d.records()
	if err != nil {
		return Entry{}, nil, err
	}
	slices.SortFunc(all, func(a, b record) int { return b.Saved.Compare(a.Saved) })
	tries := []func(string) bool{func(k string) bool { return k == key }}
	for _, prefix := range fallback {
		tries = append(tries, func(k string) bool { return k != "" && strings.HasPrefix(k, prefix) })
	}
	for _, fits := range tries {
		for _, r := range all {
			if !fits(r.Key) {
				continue
			}
			f, err := os.Open(d.path(r.Key, archiveEnd))
			if errors.Is(err, fs.ErrNotExist) {
				continue // another process has removed it
			}
			if err != nil {
				return Entry{}, nil, fmt.Errorf("open the archive: %w", err)
			}
			now := time.Now()
			_ = os.Chtimes(d.path(r.Key, entryEnd), now, now)
			return r.Entry, f, nil
		}
	}
	return Entry{}, nil, ErrNone
}

func (d Dir) records() ([]record, error) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, fmt.Errorf("list the caches: %w", err)
	}
	var all []record
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), entryEnd) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(d.Path, e.Name()))
		var r record
		if err == nil && json.Unmarshal(text, &r) == nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// Put implements Archives.
func (d Dir) Put(_ context.Context, e Entry, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(d.Path, "*"+newEnd)
	if err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name()) // gone already when it was renamed
	}()
	largest := cmp.Or(d.Largest, defaultLargest)
	if err := write(&bounded{to: f, left: largest, most: largest}); err != nil {
		return err
	}
	text, err := json.Marshal(record{Entry: e, Saved: time.Now().UTC()})
	if err != nil {
		return err
	}
	// A machine that loses its power may lose a cache, but must not be left with
	// half of one: the sum at the end of the archive tells.
	record := f.Name() + recordEnd
	defer func() { _ = os.Remove(record) }() // as the archive
	if err := errors.Join(f.Close(), os.WriteFile(record, text, 0o600)); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	if err := os.Rename(f.Name(), d.path(e.Key, archiveEnd)); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	if err := os.Rename(record, d.path(e.Key, entryEnd)); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}

// bounded refuses to write more than so many bytes.
type bounded struct {
	to   io.Writer
	left int64
	most int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("the archive is larger than %d MB; name fewer files under cache.paths", b.most>>20)
	}
	return b.to.Write(p)
}

// Drop implements Archives.
func (d Dir) Drop(_ context.Context, key string) error {
	for _, end := range []string{entryEnd, archiveEnd} {
		if err := os.Remove(d.path(key, end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the archive: %w", err)
		}
	}
	return nil
}
