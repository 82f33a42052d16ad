package buildah

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/towline/towline/internal/redact"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestABuildThatWaitsForARemovalCanBeStopped(t *testing.T) {
	t.Parallel()
	var kept turns
	done, ok := kept.alone()
	if !ok {
		t.Fatal("nobody else is there")
	}
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	waits := make(chan error)
	go func() { waits <- kept.enter(ctx) }()
	cancel(stopped)
	if err := <-waits; !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
	go func() { waits <- kept.enter(t.Context()) }()
	done()
	must(t, <-waits)
	must(t, kept.enter(t.Context())) // beside the first
	kept.leave()
	if _, ok := kept.alone(); ok {
		t.Error("one builds still")
	}
	kept.leave()
	if _, ok := kept.alone(); !ok {
		t.Error("nobody builds any more")
	}
}

func TestWhatIsKeptIsNotRemovedWhileOthersBuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "root"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "root", "layer"), []byte("too much"), 0o600))
	b := &Buildah{Dir: dir, Program: []string{"/bin/false"}, CacheLimit: 1}
	w := &work{buildah: b, dir: t.TempDir()}
	w.what.Hidden = &redact.Secrets{}
	must(t, b.kept.enter(t.Context()))
	must(t, b.bound(t.Context(), w))
	b.kept.leave()
	if err := b.bound(t.Context(), w); err == nil {
		t.Error("nothing was removed when nobody built")
	}
}
