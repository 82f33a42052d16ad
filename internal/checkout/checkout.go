// Package checkout finds the source tree that this binary was built from. The
// local Kubernetes is compiled from its localkube/ directory and the demo
// starts from its examples/. The package knows nothing of what is in them.
package checkout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// module is the line that the go.mod of the source tree begins with.
const module = "module github.com/towline/towline"

// ErrNotFound is what Dir's error wraps when there is no source tree.
var ErrNotFound = errors.New("the source tree of Towline is not on this machine")

// Dir returns the absolute path of the source tree: the one that the binary
// was compiled in, or else the one that the working directory lies in. A
// binary built with -trimpath does not know the former.
func Dir() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	return find(filepath.Dir(file), wd)
}

// find returns the first directory at or above one of the starting points
// that holds Towline's go.mod. A starting point that is not absolute is
// skipped.
func find(starts ...string) (string, error) {
	for _, start := range starts {
		if !filepath.IsAbs(start) {
			continue
		}
		for dir := filepath.Clean(start); ; dir = filepath.Dir(dir) {
			if isRoot(dir) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("%w: neither %s; clone https://github.com/towline/towline and run the command inside the clone",
		ErrNotFound, strings.Join(starts, " nor "))
}

func isRoot(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first) == module
}
