package build

import (
	"io/fs"
	"os"
)

// RemoveAll removes a tree, also one with directories that their owner has made
// read-only.
func RemoveAll(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	// By a root, so that a link which takes a directory's place is not followed.
	if root, err := os.OpenRoot(path); err == nil {
		_ = root.Chmod(".", 0o700)
		_ = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				_ = root.Chmod(p, 0o700)
			}
			return nil
		})
		_ = root.Close()
	}
	return os.RemoveAll(path)
}
