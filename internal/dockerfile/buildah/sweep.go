package buildah

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// memory is the directory of builds' own files: of a file system in memory, if
// there is one.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// prefix begins the names of the directories of this Buildah's builds, and of no
// other's: it has its Dir for itself.
func (b *Buildah) prefix() string {
	sum := sha256.Sum256([]byte(filepath.Clean(b.Dir)))
	return "towline-buildah-" + hex.EncodeToString(sum[:])[:16] + "-"
}

// Sweep removes what builds of a server that was killed have left: in memory,
// secrets among it, and among the temporary files. It is called before the first
// build.
func (b *Buildah) Sweep() error {
	left, err := filepath.Glob(filepath.Join(memory(), b.prefix()+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range append(left, filepath.Join(b.Dir, "tmp")) {
		errs = append(errs, os.RemoveAll(dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove what builds have left: %w", err)
	}
	return nil
}
