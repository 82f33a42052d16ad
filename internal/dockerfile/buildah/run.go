package buildah

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/towline/towline/internal/dockerfile/enclosure"
	"github.com/towline/towline/internal/redact"
)

// grace is how long buildah may take to end its containers.
const grace = 5 * time.Second

// run runs buildah with its output going to the log.
func (w *work) run(ctx context.Context, log io.Writer, args ...string) error {
	dir := w.buildah.Dir
	full := append(slices.Clone(w.buildah.Program[1:]), w.program, "--root", w.buildah.root(), "--runroot", w.file("run"))
	cmd := exec.Command(w.buildah.Program[0], append(full, args...)...) //nolint:noctx // The enclosure ends it with the context.
	out := &lines{to: log, masking: redact.NewStream(w.what.Hidden)}
	cmd.Dir, cmd.Stdout, cmd.Stderr = w.dir, out, out
	cmd.Env = append(enclosure.Environ(), "HOME="+filepath.Join(dir, "home"), "TMPDIR="+filepath.Join(dir, "tmp"),
		"CONTAINERS_REGISTRIES_CONF="+w.file("registries.conf"), "REGISTRY_AUTH_FILE="+w.file("auth.json"), "BUILDAH_ISOLATION=oci")
	e, err := enclosure.Start(cmd)
	if err != nil {
		return fmt.Errorf("start buildah: %w", err)
	}
	select {
	case <-e.Done():
	case <-ctx.Done():
		e.Stop(grace)
		return context.Cause(ctx)
	}
	out.flush()
	if e.State().Success() {
		return nil
	}
	return w.explain(out.last, e.State())
}
