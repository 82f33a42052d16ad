package buildah

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/towline/towline/internal/dockerfile"
)

func TestWhatAKilledServerHasLeftIsRemoved(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	file := filepath.Join(source, "Dockerfile")
	must(t, os.WriteFile(file, []byte("FROM scratch\n"), 0o644))
	begin := func(b *Buildah) *work {
		w, err := b.prepare(t.Context(), "buildah", dockerfile.Build{
			Dir: source, File: file, Context: source, Secrets: map[string][]byte{"npm": []byte("hush-hush")},
			Credential: func(context.Context, string) (dockerfile.Credential, error) { return dockerfile.Credential{}, nil },
		})
		must(t, err)
		t.Cleanup(func() { must(t, os.RemoveAll(w.dir)) })
		_, err = w.buildArgs()
		must(t, err)
		return w
	}
	mine, other := &Buildah{Dir: t.TempDir()}, &Buildah{Dir: t.TempDir()}
	killed, works := begin(mine), begin(other)
	half := filepath.Join(mine.Dir, "tmp", "buildah-pull123")
	must(t, os.WriteFile(half, []byte("half a layer"), 0o600))
	must(t, (&Buildah{Dir: mine.Dir}).Sweep())
	for _, left := range []string{killed.dir, half} {
		if _, err := os.Stat(left); !os.IsNotExist(err) {
			t.Errorf("%s is there still: %v", left, err)
		}
	}
	if _, err := os.Stat(works.file("secret0")); err != nil {
		t.Errorf("another server's build has lost its secret: %v", err)
	}
}
