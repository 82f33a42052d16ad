//go:build linux

package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestATreeIsGivenAwayWithoutLeavingIt swaps a directory of the tree for a link
// again and again, as a process that a lost build left could, while the tree is
// given to a user and removed.
func TestATreeIsGivenAwayWithoutLeavingIt(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // an ordinary user gives nothing away
	}
	const user, files, rounds = 64999, 500, 100
	dir := t.TempDir()
	tree, outside := filepath.Join(dir, "tree"), filepath.Join(dir, "outside")
	inner, link := filepath.Join(tree, "d"), filepath.Join(tree, "link")
	if err := errors.Join(os.MkdirAll(inner, 0o755), os.Mkdir(outside, 0o755), os.Symlink(outside, link)); err != nil {
		t.Fatal(err)
	}
	for n := range files {
		name := string(rune('a'+n%26)) + string(rune('a'+n/26))
		if err := errors.Join(os.WriteFile(filepath.Join(inner, name), nil, 0o600), os.WriteFile(filepath.Join(outside, name), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = unix.Renameat2(unix.AT_FDCWD, inner, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
		}
	})
	for range rounds {
		_ = own(tree, user) // what vanishes under its hands may be an error
	}
	close(stop)
	swapping.Wait()
	err := filepath.WalkDir(outside, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && ownerOf(info) == user {
			t.Fatalf("%s was given away, which is outside of the tree", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
