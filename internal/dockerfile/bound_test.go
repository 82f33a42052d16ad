package dockerfile_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/buildah"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/waittest"
)

// Each build makes a layer of 30 MB that is kept, where 50 MB may be.
func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 50 << 20
	host := startRegistry(t, "")
	fill := func(p place) {
		for i := range 4 {
			b, said := p.build(fillWith(i))
			p.made(b, said)
			must(p.t, os.RemoveAll(b.Output))
		}
	}
	t.Run("by BuildKit", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "buildkit")
		d := daemon.New(daemon.Config{
			Dir: dir, Program: program(t), Find: daemon.Finder{}.Find, CacheLimit: limit, Insecure: []string{host}, Idle: waittest.Patience, Logger: slog.New(slog.DiscardHandler),
		})
		t.Cleanup(d.Close)
		fill(place{t, dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &buildkit.Own{Daemon: d}), host, ""})
		// BuildKit itself removes what is too much, a minute after a build or a
		// second after its start. Its databases come on top.
		d.Close()
		_, release, err := d.Use(t.Context(), func(string) {})
		must(t, err)
		defer release()
		waittest.Until(t, "the end of what is too much", func() bool { return dockerfile.Weight(t.Context(), dir) < 2*limit })
	})
	t.Run("by buildah", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		p := place{t, dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &buildah.Buildah{Dir: dir, Program: program(t), CacheLimit: limit, Insecure: []string{host}}), host, ""}
		fill(p)
		b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN true\n"})
		p.made(b, said)
		if got := dockerfile.Weight(t.Context(), dir); got > limit {
			t.Errorf("%d bytes are kept", got)
		}
		// What was made last is still there.
		b, said = p.build(fillWith(3))
		p.made(b, said)
		if !strings.Contains(said.String(), "Using cache") {
			t.Errorf("nothing is kept:\n%s", said)
		}
	})
}

// fillWith is a Dockerfile that makes a layer of 30 MB, another one for each n.
func fillWith(n int) map[string]string {
	return map[string]string{"Dockerfile": "FROM BASE\nCOPY n /n\nRUN dd if=/dev/urandom of=/fill bs=1M count=30 2>/dev/null\n", "n": strings.Repeat("x", n)}
}
