package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// warm gives the builds of a pipeline the caches that the same builds have left
// when the test last succeeded, as if it were the same server: compiling Go's
// own library anew takes longer than the rest of a test. They are kept under
// the user's cache directory, belong to the builds' user as before, and are
// moved, so that no two servers ever share them. Kept is their name there, data
// the data directory of the server.
//
// The function that it returns takes them back. It is to be called when no
// build runs any more. After a failure it leaves them: they may be the reason,
// and the next run begins without.
func warm(t *testing.T, kept, data, pipeline string) (keep func()) {
	t.Helper()
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kept, used := filepath.Join(user, "towline", "e2e", kept), filepath.Join(data, "cache", "pipelines", pipeline)
	for dir, mode := range map[string]fs.FileMode{filepath.Dir(kept): 0o700, data: 0o700, filepath.Dir(used): 0o711} {
		if err := os.MkdirAll(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := move(kept, used); errors.Is(err, fs.ErrNotExist) {
		t.Logf("no caches of an earlier run in %s: the builds compile everything", kept)
	} else if err != nil {
		t.Fatal(err)
	}
	return func() {
		if t.Failed() {
			return
		}
		if err := move(used, kept); err != nil && !errors.Is(err, fs.ErrExist) { // Another run has kept its own meanwhile.
			t.Error(err)
		}
	}
}

// move moves a directory, also to another file system, and is whole there from
// its first moment.
func move(from, to string) error {
	if _, err := os.Lstat(from); err != nil {
		return err
	}
	aside := fmt.Sprintf("%s.%d", to, os.Getpid())
	if out, err := exec.Command("mv", "--no-target-directory", from, aside).CombinedOutput(); err != nil {
		if _, gone := os.Lstat(from); gone != nil { // another run was faster
			return gone
		}
		return fmt.Errorf("move %s to %s: %w: %s", from, aside, err, out)
	}
	err := os.Rename(aside, to)
	if err != nil {
		err = errors.Join(err, os.RemoveAll(aside))
	}
	return err
}
