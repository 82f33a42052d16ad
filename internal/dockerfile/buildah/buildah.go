// Package buildah builds Dockerfiles by the buildah of this machine, in an
// enclosure: one process that needs no daemon. The room knows buildah's command
// line and what it says.
package buildah

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/enclosure"
	"github.com/towline/towline/internal/redact"
)

// Buildah is the buildah of this machine.
type Buildah struct {
	// Dir keeps its layers from build to build.
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
	registries := "unqualified-search-registries = [\"docker.io\"]\n"
	for _, host := range b.Insecure {
		registries += fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", host)
	}
	var auth []byte
	if err = w.takeFiles(); err == nil {
		auth, err = w.auth(ctx)
	}
	if err == nil {
		err = errors.Join(
			os.WriteFile(w.file("policy.json"), []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600),
			os.WriteFile(w.file("registries.conf"), []byte(registries), 0o600),
			os.WriteFile(w.file("auth.json"), auth, 0o600),
		)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return w, nil
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

// bound removes what is kept when it has grown beyond the limit, unless somebody
// builds: a later build does it then. There is no way to remove the oldest alone
// that old versions of buildah know.
func (b *Buildah) bound(ctx context.Context, w *work) error {
	var total int64
	err := filepath.WalkDir(filepath.Join(b.Dir, "root"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil || entry.IsDir() {
			return ctx.Err() // What vanishes meanwhile takes no space.
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	if err != nil || total <= b.CacheLimit {
		return err
	}
	done, alone := b.kept.alone()
	if !alone {
		return nil
	}
	defer done()
	return w.run(ctx, io.Discard, "rmi", "--all", "--force")
}

// grace is how long buildah may take to end its containers.
const grace = 5 * time.Second

// run runs buildah with its output going to the log.
func (w *work) run(ctx context.Context, log io.Writer, args ...string) error {
	dir := w.buildah.Dir
	full := append(slices.Clone(w.buildah.Program[1:]), w.program, "--root", filepath.Join(dir, "root"), "--runroot", w.file("run"))
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

// lines passes whole lines on and keeps the last one. It belongs to one
// goroutine: os/exec gives both outputs, when they are the same, one.
type lines struct {
	to      io.Writer
	masking *redact.Stream // before there are lines, of which a secret may have several
	held    []byte
	last    string
}

func (l *lines) Write(p []byte) (int, error) {
	l.held = l.masking.Append(l.held, p)
	return len(p), l.pass()
}

// pass passes on the lines that are whole.
func (l *lines) pass() error {
	end := bytes.LastIndexByte(l.held, '\n') + 1
	if end == 0 {
		return nil
	}
	for line := range bytes.Lines(l.held[:end]) {
		if text := bytes.TrimSpace(line); len(text) > 0 {
			l.last = string(text)
		}
	}
	_, err := l.to.Write(l.held[:end])
	l.held = append(l.held[:0], l.held[end:]...)
	return err
}

func (l *lines) flush() {
	l.held = l.masking.Flush(l.held)
	if len(l.held) > 0 {
		l.held = append(l.held, '\n')
		_ = l.pass() // a log that is lost is reported by its owner
	}
}
