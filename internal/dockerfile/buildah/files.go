package buildah

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towline/towline/internal/dockerfile"
)

// What buildah reads is called by names of ours: of a Dockerfile whose name ends
// in .in it makes another by running cpp on this machine.
const (
	fileName   = "Dockerfile"
	ignoreName = fileName + ".dockerignore"
)

// takeFiles copies the Dockerfile, and the .dockerignore that belongs to it
// alone, to where the source's owner does not name them.
func (w *work) takeFiles() error {
	if err := w.takeFile(w.what.File, fileName); err != nil {
		return fmt.Errorf("read the Dockerfile: %w", err)
	}
	if err := w.takeFile(w.what.File+".dockerignore", ignoreName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the .dockerignore: %w", err)
	}
	return nil
}

func (w *work) takeFile(from, name string) error {
	rel, err := filepath.Rel(w.what.Dir, from)
	if err != nil {
		return err
	}
	source, err := os.OpenRoot(w.what.Dir)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat(rel)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return dockerfile.Refuse("%s is not a file", rel)
	}
	f, err := source.Open(rel)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, dockerfile.FileLimit+1))
	if err != nil {
		return err
	}
	if len(text) > dockerfile.FileLimit {
		return dockerfile.Refuse("%s has more than %d bytes", rel, dockerfile.FileLimit)
	}
	return os.WriteFile(w.file(name), text, 0o600)
}
