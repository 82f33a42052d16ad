package builder

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/towline/towline/internal/project"
)

// LogFile is where the log of a build is. The file appears when the build stops
// waiting.
func (r *Builder) LogFile(b project.Build) string {
	if b.Action == nil {
		return filepath.Join(r.Dir, "projects", "logs", b.Project, b.UUID()+".log")
	}
	if filepath.IsAbs(b.Action.LogFile) {
		return b.Action.LogFile
	}
	return filepath.Join(r.Dir, b.Action.LogFile)
}

// workDir is the directory of one run of a build. A batch that is run again has
// another one: in the last might lie what its builds have come to, and it might
// just be removed.
func (r *Builder) workDir(b project.Build) string {
	name := b.UUID()
	if b.Rerun > 0 {
		name = fmt.Sprintf("%s-%d", name, b.Rerun)
	}
	return filepath.Join(r.Dir, "projects", "work", name)
}

// prepare makes the directories of a build and opens its log.
func (r *Builder) prepare(b project.Build) (io.WriteCloser, error) {
	// A build may run as another user, who passes through to its own directory.
	for _, dir := range []string{filepath.Join(r.Dir, "projects"), filepath.Dir(r.workDir(b))} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("make directory of build %s: %w", b.ID, err)
		}
	}
	mode := os.FileMode(0o700)
	if b.Batch != nil {
		mode = 0o711 // So do the builds of a batch, through that of the batch.
	}
	if err := os.MkdirAll(r.workDir(b), mode); err != nil {
		return nil, fmt.Errorf("make directory of build %s: %w", b.ID, err)
	}
	return r.openLog(b)
}

// openLog opens the log of a build that is its own.
func (r *Builder) openLog(b project.Build) (io.WriteCloser, error) {
	if err := os.MkdirAll(filepath.Dir(r.LogFile(b)), 0o700); err != nil {
		return nil, fmt.Errorf("make directory of the log of build %s: %w", b.ID, err)
	}
	return r.OpenLog(r.LogFile(b))
}

// relative is the path below the data directory, which may be moved.
func (r *Builder) relative(path string) string {
	below, err := filepath.Rel(r.Dir, path)
	if err != nil || !filepath.IsLocal(below) {
		return path
	}
	return below
}
