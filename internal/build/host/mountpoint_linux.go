package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// RemoveMountPoint removes the empty directory at which this machine's boxed
// builds see their files, with the one that holds it. While a build of any
// server uses it, it stays: removing it would take the build's files from its
// sight.
func RemoveMountPoint() error {
	tables, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		return err
	}
	for _, table := range tables {
		// A process that has ended meanwhile uses nothing.
		if mounts, err := os.ReadFile(table); err == nil && bytes.Contains(mounts, []byte(" "+mountPoint+" ")) {
			return nil
		}
	}
	for _, dir := range []string{mountPoint, filepath.Dir(mountPoint)} {
		err := os.Remove(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("remove the builds' mount point: %w", err)
		}
	}
	return nil
}
