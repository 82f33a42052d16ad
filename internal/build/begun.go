package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towline/towline/internal/box"
)

// Begun are the builds of a job, by its directory, that may have been begun: its
// only one, or those of its batch. A backend that is given one of them finds
// what there is of it, and stops it when ctx has ended. They have no log.
func Begun(dir string) ([]Build, error) {
	dirs := []string{dir}
	parts, err := os.ReadDir(filepath.Join(dir, partsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for begun builds: %w", err)
	}
	for _, part := range parts {
		dirs = append(dirs, filepath.Join(dir, partsDir, part.Name()))
	}
	var all []Build
	for _, d := range dirs {
		var p plan
		ok, err := box.ReadRecord(d, planFile, &p)
		if err != nil {
			return nil, err
		}
		if ok {
			p.Build.Dir, p.Build.Source = d, filepath.Join(d, sourceDir)
			all = append(all, p.Build)
		}
	}
	return all, nil
}
