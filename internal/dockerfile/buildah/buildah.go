// Package buildah builds Dockerfiles by the buildah of this machine, in an
// enclosure: one process that needs no daemon. The room knows buildah's command
// line and what it says.
package buildah

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/enclosure"
)

// Buildah is the buildah of this machine.
type Buildah struct {
	// Dir keeps its layers from build to build. It is for this Buildah alone, as a
	// server's data directory is for one server.
	Dir string
	// Program is the command line of a process that calls enclosure.Main, to
	// which arguments are appended.
	Program []string
	// CacheLimit is how much is kept between builds, in bytes.
	CacheLimit int64
	// Insecure are the registries, host:port, that are spoken to without TLS.
	Insecure []string

	kept turns
}

var _ dockerfile.Way = (*Buildah)(nil)

// Name is what people call it.
func (b *Buildah) Name() string { return "buildah" }

// Build has buildah build the image and writes it as an OCI layout.
func (b *Buildah) Build(ctx context.Context, what dockerfile.Build) (result dockerfile.Result, err error) {
	if _, err := enclosure.Runtime(); err != nil {
		return result, err
	}
	program, err := enclosure.Look("buildah", "buildah")
	if err != nil {
		return result, err
	}
	work, err := b.prepare(ctx, program, what)
	if err != nil {
		return result, err
	}
	defer func() {
		err = errors.Join(err, work.close(context.WithoutCancel(ctx)))
	}()
	if err := b.bound(ctx, work); err != nil {
		return result, err
	}
	if err := b.kept.enter(ctx); err != nil {
		return result, err
	}
	defer b.kept.leave()
	if err := work.takeLayouts(ctx); err != nil {
		return result, err
	}
	args, err := work.buildArgs()
	if err != nil {
		return result, err
	}
	if what.Progress != nil {
		what.Progress("build with buildah")
	}
	if err := work.run(ctx, what.Log, args...); err != nil {
		return result, err
	}
	return result, work.push(ctx)
}

// push writes what was built as an OCI layout.
func (w *work) push(ctx context.Context) error {
	options := []string{"push", "--signature-policy", w.file("policy.json"), "--format", "oci"}
	if len(w.what.Platforms) > 1 {
		options = append(append([]string{"manifest"}, options...), "--all", w.name)
	} else {
		id, err := os.ReadFile(w.file("id"))
		if err != nil {
			return fmt.Errorf("find the image that buildah built: %w", err)
		}
		options = append(options, strings.TrimSpace(string(id)))
	}
	return w.run(ctx, io.Discard, append(options, "oci:"+w.what.Output)...)
}

// root is the directory of buildah's store.
func (b *Buildah) root() string { return filepath.Join(b.Dir, "root") }

// work is one build in progress.
type work struct {
	buildah *Buildah
	program string
	what    dockerfile.Build
	dir     string // of its own files, gone afterwards
	name    string // of the list of images, with several platforms
}

func (w *work) file(name string) string { return filepath.Join(w.dir, name) }

// prepare writes the files that a build needs, into memory where there is a file
// system for that: secrets are among them.
func (b *Buildah) prepare(ctx context.Context, program string, what dockerfile.Build) (*work, error) {
	if err := errors.Join(os.MkdirAll(filepath.Join(b.Dir, "tmp"), 0o700), os.MkdirAll(filepath.Join(b.Dir, "home"), 0o700)); err != nil {
		return nil, fmt.Errorf("make the directory of buildah: %w", err)
	}
	dir, err := os.MkdirTemp(memory(), b.prefix())
	if err != nil {
		return nil, err
	}
	w := &work{buildah: b, program: program, what: what, dir: dir, name: "localhost/towline:" + strings.ToLower(rand.Text())}
	var auth []byte
	if err = w.takeFiles(); err == nil {
		auth, err = w.auth(ctx)
	}
	if err == nil {
		err = errors.Join(
			os.WriteFile(w.file("policy.json"), []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600),
			os.WriteFile(w.file("registries.conf"), b.registries(), 0o600),
			os.WriteFile(w.file("auth.json"), auth, 0o600),
		)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return w, nil
}

// registries is how registries are spoken to, in the form of registries.conf.
func (b *Buildah) registries() []byte {
	text := []byte("unqualified-search-registries = [\"docker.io\"]\n")
	for _, host := range b.Insecure {
		text = fmt.Appendf(text, "[[registry]]\nlocation = %q\ninsecure = true\n", host)
	}
	return text
}

// close removes the build's own files, and the list of several platforms' images.
// The images stay for later builds.
func (w *work) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if len(w.what.Platforms) > 1 {
		_ = w.run(ctx, io.Discard, "manifest", "rm", w.name) // It need not be there.
	}
	return os.RemoveAll(w.dir)
}
