//go:build linux

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/towline/towline/internal/box"
)

const (
	firstUID  = 64200
	countUIDs = 1000
)

// user returns the user ID of a pipeline's builds, -1 for Towline's own, and
// the directory of their caches. The owner of that directory is where the ID is
// kept, so that the caches stay readable from build to build.
func (h *Backend) user(name string, boxed bool) (uid int, cache string, err error) {
	h.users.Lock()
	defer h.users.Unlock()
	pipelines := filepath.Join(h.config.CacheDir, "pipelines")
	cache = filepath.Join(pipelines, url.PathEscape(name))
	if name == "" || name == "." || name == ".." {
		return 0, "", fmt.Errorf("a pipeline cannot be named %q", name)
	}
	err = os.Mkdir(cache, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return 0, "", fmt.Errorf("make the pipeline's cache: %w", err)
	}
	if os.Geteuid() != 0 {
		return -1, cache, nil
	}
	now, taken, err := owners(pipelines, filepath.Base(cache))
	if err != nil {
		return 0, "", fmt.Errorf("look at the owners of the pipelines' caches: %w", err)
	}
	last := h.config.UID + countUIDs
	switch {
	case !boxed && now == box.Nobody, boxed && now >= h.config.UID && now < last:
		return now, cache, nil
	case !boxed:
		return box.Nobody, cache, own(cache, box.Nobody)
	}
	for uid := h.config.UID; uid < last; uid++ {
		if !taken[uid] {
			return uid, cache, own(cache, uid)
		}
	}
	return 0, "", fmt.Errorf("all %d user IDs from %d on belong to a pipeline; remove the caches of old ones in %s", countUIDs, h.config.UID, pipelines)
}

// owners are the user IDs that own the entries of dir, and that of one entry.
func owners(dir, entry string) (one int, all map[int]bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, nil, err
	}
	all = map[int]bool{}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		uid := ownerOf(info)
		all[uid] = true
		if e.Name() == entry {
			one = uid
		}
	}
	return one, all, nil
}

func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// own gives a tree to a user. Links are not followed, and the tree is not left
// by a directory that becomes a link meanwhile: what it is given to, or a
// process that a lost build left, may already write in it.
func own(dir string, uid int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("give %s to user %d: %w", dir, uid, err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, uid, uid)
	})
	if err != nil {
		return fmt.Errorf("give %s to user %d: %w", dir, uid, err)
	}
	return nil
}
