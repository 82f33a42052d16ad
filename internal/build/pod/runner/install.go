package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Install copies this program into a directory, as towline: the Pod's first
// container does, for the second, whose image has no Towline.
func Install(dir string) (err error) {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("copy this program: %w", err)
	}
	defer from.Close()
	// By another name first: a container that is started once more finds it
	// whole or not at all.
	path := filepath.Join(dir, "towline")
	to, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("copy this program: %w", err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("copy this program: %w", err)
	}
	return nil
}
