package imagetest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// System is an image of parts of this machine: for tests that need a shell or a
// database in a pod, where no image of one can be pulled.
type System struct {
	// Paths are programs and directories, with all that is below these. The
	// libraries that a program needs come with it.
	Paths []string
	// Files are further files, by path: all may be run.
	Files map[string]string
	// Config is the image's.
	Config v1.Config
}

// Image makes the image.
func (s System) Image(ctx context.Context) (v1.Image, error) {
	c := collection{ctx: ctx, seen: map[string]bool{}}
	c.archive = tar.NewWriter(&c.packed)
	for _, path := range s.Paths {
		if err := c.add(path); err != nil {
			return nil, fmt.Errorf("put %s into an image: %w", path, err)
		}
	}
	for path, text := range s.Files {
		if err := c.text(path, text); err != nil {
			return nil, fmt.Errorf("put %s into an image: %w", path, err)
		}
	}
	if err := c.archive.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.packed.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	return imageOf(layer, s.Config)
}

// collection is the layer in the making.
type collection struct {
	ctx     context.Context //nolint:containedctx // it is gone with the call
	packed  bytes.Buffer
	archive *tar.Writer
	seen    map[string]bool
}

// add adds a path: links and what they lead to, programs and their libraries.
func (c *collection) add(path string) error {
	path = filepath.Clean(path)
	if c.seen[path] || path == "/" {
		return nil
	}
	c.seen[path] = true
	if err := c.parents(path); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return c.link(path)
	case info.IsDir():
		return c.directory(path, info)
	case !info.Mode().IsRegular():
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path[1:], Mode: int64(info.Mode().Perm()), Size: int64(len(text))}
	if err := c.archive.WriteHeader(header); err != nil {
		return err
	}
	if _, err := c.archive.Write(text); err != nil {
		return err
	}
	if !bytes.HasPrefix(text, []byte("\x7fELF")) {
		return nil
	}
	return c.libraries(path)
}

// parents adds the directories above a path, which may be links.
func (c *collection) parents(path string) error {
	above := filepath.Dir(path)
	if above == "/" || c.seen[above] {
		return nil
	}
	if err := c.parents(above); err != nil {
		return err
	}
	info, err := os.Lstat(above)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		c.seen[above] = true
		target, err := os.Readlink(above)
		if err != nil {
			return err
		}
		return c.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: above[1:], Linkname: target, Mode: 0o777})
	}
	return c.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: above[1:] + "/", Mode: 0o755})
}

func (c *collection) link(path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	if err := c.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path[1:], Linkname: target, Mode: 0o777}); err != nil {
		return err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	return c.add(target)
}

func (c *collection) directory(path string, info fs.FileInfo) error {
	if err := c.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path[1:] + "/", Mode: int64(info.Mode().Perm())}); err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.add(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

var libraryForm = regexp.MustCompile(`(?m)(/\S+) \(0x`)

// libraries adds what ldd says that a program needs.
func (c *collection) libraries(program string) error {
	out, err := exec.CommandContext(c.ctx, "ldd", program).CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("not a dynamic executable")) && !bytes.Contains(out, []byte("statically linked")) {
		return fmt.Errorf("ask ldd: %w: %s", err, out)
	}
	for _, found := range libraryForm.FindAllSubmatch(out, -1) {
		if err := c.add(string(found[1])); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) text(path, text string) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path, "/"), Mode: 0o755, Size: int64(len(text))}
	if err := c.archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.WriteString(c.archive, text)
	return err
}

// Programs are the paths of programs of this machine.
func Programs(names ...string) ([]string, error) {
	var paths []string
	var errs []error
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, errors.Join(errs...)
}

// Postgres is the directory of this machine's PostgreSQL, with its server in
// bin, and that of its shared files.
func Postgres() (programs, shared string, err error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", "", errors.New("this machine has no PostgreSQL server: install the package postgresql")
	}
	programs = filepath.Dir(filepath.Dir(found[len(found)-1]))
	return programs, filepath.Join("/usr/share/postgresql", filepath.Base(programs)), nil
}
