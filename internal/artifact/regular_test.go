package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"file": "text", "sub/file": ""})
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	must(t, os.Symlink("pipe", filepath.Join(dir, "link to a pipe")))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "outside")))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	for name, good := range map[string]bool{"file": true, "link": true, "sub": false, "pipe": false, "link to a pipe": false, "outside": false, "none": false} {
		f, info, err := OpenRegular(root, name)
		if (err == nil) != good || err == nil && info.Size() != 4 {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			must(t, f.Close())
		}
	}
	if _, _, err := OpenRegular(root, "pipe"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("a pipe: %v", err)
	}
}
