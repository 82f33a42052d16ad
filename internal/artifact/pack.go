package artifact

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"
)

// Pack stores the files of dir and returns the digest and size in bytes of the
// archive. Files are slash-separated paths relative to dir; one that is a
// directory means all below it. Nil files means everything but .git.
//
// The same files give the same digest: names are sorted, times are fixed, and
// of the modes the permission bits of regular files are kept. Symbolic links are kept as links when they
// stay inside dir. One that leaves it is an error when its path was asked for,
// and is left out, with a line in the log, when everything was. More files or
// bytes than Unpack would take are a *LimitError, found before anything is
// stored.
func (s *Store) Pack(ctx context.Context, dir string, files []string) (digest string, size int64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", 0, fmt.Errorf("pack %s: %w", dir, err)
	}
	defer root.Close()
	p := packing{root: root, limits: s.limits, all: files == nil, skip: func(name, why string) {
		s.log.WarnContext(ctx, "leave a file out of the artifact", "file", name, "reason", why)
	}}
	if err := p.collect(ctx, files); err != nil {
		return "", 0, fmt.Errorf("pack %s: %w", dir, err)
	}
	digest, size, err = s.put(ctx, func(w io.Writer) error { return p.write(ctx, w) })
	if err != nil {
		return "", 0, fmt.Errorf("pack %s: %w", dir, err)
	}
	return digest, size, nil
}

// packing is the making of one archive. Everything is read through root, so
// that a process which still writes to the directory cannot lead the server
// out of it with a symbolic link.
type packing struct {
	root   *os.Root
	limits Limits
	all    bool
	skip   func(name, why string)
	names  []string // sorted; directories end in a slash
	bytes  int64    // read so far
}

// collect finds the names that go into the archive.
func (p *packing) collect(ctx context.Context, files []string) error {
	if p.all {
		files = []string{"."}
	}
	for _, name := range files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("file %q is not inside the directory", name)
		}
		if err := p.walk(ctx, path.Clean(name)); err != nil {
			return err
		}
	}
	slices.Sort(p.names)
	p.names = slices.Compact(p.names)
	if len(p.names) > p.limits.Files {
		return &LimitError{fmt.Sprintf("there are %d files and directories and the limit is %d", len(p.names), p.limits.Files)}
	}
	if err := p.measure(); err != nil {
		return err
	}
	// A path through a link that is in the archive itself would make that name
	// a link and a directory at once, which nobody could unpack.
	for _, name := range p.names {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, found := slices.BinarySearch(p.names, dir); found {
				return fmt.Errorf("file %q is named through the symbolic link %q; name one of the two", name, dir)
			}
		}
	}
	return nil
}

// LimitError says that files are too many or too large for an artifact: who has
// made them can mend it.
type LimitError struct{ what string }

func (e *LimitError) Error() string {
	return e.what + "; leave out what the next action does not need"
}

func (p *packing) tooLarge() error {
	return &LimitError{fmt.Sprintf("the files are larger than the limit of %d bytes", p.limits.Bytes)}
}

// measure refuses files that are too large before they are read, which takes
// minutes. They may still grow.
func (p *packing) measure() error {
	var sum int64
	for _, name := range p.names {
		if info, err := p.root.Lstat(name); err == nil && info.Mode().IsRegular() {
			if sum += info.Size(); sum > p.limits.Bytes {
				return p.tooLarge()
			}
		}
	}
	return nil
}

func (p *packing) walk(ctx context.Context, start string) error {
	// WalkDir would follow a link that it starts at.
	if info, err := p.root.Lstat(start); err != nil {
		return err
	} else if !info.IsDir() {
		p.names = append(p.names, start)
		return nil
	}
	return fs.WalkDir(p.root.FS(), start, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case p.all && path.Base(name) == ".git":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case name == ".":
			return nil
		case d.IsDir():
			name += "/"
		}
		p.names = append(p.names, name)
		return nil
	})
}

// write writes the archive.
func (p *packing) write(ctx context.Context, w io.Writer) error {
	zw := zip.NewWriter(w)
	// The artifact is read once or twice and seldom leaves the machine, so the
	// fastest level is the right one.
	zw.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed)
	})
	for _, name := range p.names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := p.entry(zw, name); err != nil {
			return fmt.Errorf("add %s: %w", name, err)
		}
	}
	return zw.Close()
}

func (p *packing) entry(zw *zip.Writer, name string) error {
	info, err := p.root.Lstat(strings.TrimSuffix(name, "/"))
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		_, err := zw.CreateHeader(header(name, fs.ModeDir|0o755, zip.Store))
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return p.link(zw, name)
	case info.Mode().IsRegular():
		return p.file(zw, name)
	}
	return p.refuse(name, "it is not a regular file")
}

func (p *packing) file(zw *zip.Writer, name string) error {
	f, info, err := OpenRegular(p.root, name)
	if errors.Is(err, ErrNotRegular) {
		return p.refuse(name, err.Error())
	}
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := zw.CreateHeader(header(name, info.Mode(), zip.Deflate))
	if err != nil {
		return err
	}
	// One byte more than allowed shows that there is more: a sparse file is
	// large at no cost, and one that is still written to has no end.
	left := p.limits.Bytes - p.bytes
	n, err := io.Copy(w, io.LimitReader(f, left+1))
	p.bytes += n
	if err == nil && n > left {
		err = p.tooLarge()
	}
	return err
}

func (p *packing) link(zw *zip.Writer, name string) error {
	target, err := p.root.Readlink(name)
	if err != nil {
		return err
	}
	if !p.inside(name, target) {
		return p.refuse(name, fmt.Sprintf("it is a symbolic link to %s, outside the artifact", target))
	}
	w, err := zw.CreateHeader(header(name, fs.ModeSymlink|0o777, zip.Store))
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, target)
	return err
}

// inside tells whether a link stays in the directory. Both the text and the
// file system are asked: the text alone does not see a link that goes through
// another one, the file system alone does not judge a dangling one.
func (p *packing) inside(name, target string) bool {
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
		return false
	}
	_, err := p.root.Stat(name)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// refuse leaves a file out of everything, or fails when it was asked for.
func (p *packing) refuse(name, why string) error {
	if !p.all {
		return fmt.Errorf("%s; leave it out of the artifact's files or replace it by a regular file", why)
	}
	p.skip(name, why)
	return nil
}

// header describes an entry. The fixed time is the oldest that zip can express.
func header(name string, mode fs.FileMode, method uint16) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: method, ModifiedDate: 1<<5 | 1} //nolint:staticcheck // Modified adds an extra field to each entry
	h.SetMode(mode & (fs.ModeDir | fs.ModeSymlink | fs.ModePerm))
	return h
}
