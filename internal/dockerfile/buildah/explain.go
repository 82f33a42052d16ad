package buildah

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/towline/towline/internal/dockerfile"
)

// commandFailed is how buildah ends when a command of the Dockerfile has. What it
// quotes before is the step as it is written, with quotes of its own.
var commandFailed = regexp.MustCompile(`": while running runtime: exit status \d+$`)

// explain tells why buildah failed, in its own last words. Nothing but these
// tells whose fault it is.
func (w *work) explain(last string, state *os.ProcessState) error {
	last = strings.TrimPrefix(strings.TrimPrefix(last, "Error: "), "error ")
	switch {
	case !state.Exited() || last == "":
		return fmt.Errorf("build with buildah: %w (%s) %s", dockerfile.ErrLost, state, last)
	case commandFailed.MatchString(last):
	case dockerfile.IsNetwork(last):
		return fmt.Errorf("build with buildah: %s; check that this machine reaches the registry, or take the base from the embedded registry or an OCI layout", last)
	case dockerfile.IsFull(last):
		return fmt.Errorf("build with buildah: %s; free space on the disk of %s", last, w.buildah.Dir)
	}
	return dockerfile.Refuse("%s: %s", w.what.FileName(), last)
}
