package tree

import (
	"fmt"
	"os"
	"path/filepath"
)

// Remove removes files and directories below dir by their slash-separated
// paths. One that is not there is no error; one that leads out of dir is.
func Remove(dir string, paths []string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("remove files: %w", err)
	}
	defer root.Close()
	for _, below := range paths {
		local := filepath.FromSlash(below)
		if !filepath.IsLocal(local) || filepath.Clean(local) == "." {
			return fmt.Errorf("remove %q: that is no name for a file", clip(below))
		}
		if err := root.RemoveAll(local); err != nil {
			return fmt.Errorf("remove %q: %w", clip(below), err)
		}
	}
	return nil
}
