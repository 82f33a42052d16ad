package cache

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// largestWindow bounds the memory that an archive may ask of its reader.
const largestWindow = 64 << 20

// unpack writes the files of an archive into the places that it names, and
// counts those that it wrote, and those that were there and were left. The
// archive may come from anywhere: nothing is written outside the places.
func (k *Keeper) unpack(ctx context.Context, archive io.Reader) (files, left int, err error) {
	zipped, err := zstd.NewReader(archive, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(largestWindow))
	if err != nil {
		return 0, 0, err
	}
	defer zipped.Close()
	u := unpacking{keeper: k, archive: tar.NewReader(zipped), buffer: make([]byte, 256<<10), bytes: k.Limits.Bytes, roots: map[string]*os.Root{}, made: map[string]bool{}}
	defer u.close()
	for entries := 0; ; entries++ {
		header, err := u.archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err == nil && entries >= k.Limits.Files {
			err = fmt.Errorf("it has more than %d files", k.Limits.Files)
		}
		if err == nil {
			err = u.entry(header)
		}
		if err != nil {
			return u.files, u.left, errors.Join(err, u.check())
		}
	}
	// What follows the archive shows whether it was cut off.
	_, err = io.Copy(io.Discard, io.LimitReader(zipped, 1<<20))
	return u.files, u.left, errors.Join(err, u.check())
}

type unpacking struct {
	keeper  *Keeper
	archive *tar.Reader
	buffer  []byte
	bytes   int64 // that may still be written
	roots   map[string]*os.Root
	made    map[string]bool // directories that are there, by the root's and their own name
	links   []link
	files   int
	left    int
}

type link struct {
	root *os.Root
	name string
}

func (u *unpacking) close() {
	for _, root := range u.roots {
		_ = root.Close()
	}
}

// entry writes one directory, file or link.
func (u *unpacking) entry(h *tar.Header) error {
	place, name, _ := strings.Cut(strings.TrimSuffix(h.Name, "/"), "/")
	if name == "" || len(name) > 4096 || !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsRune(name, 0) {
		return fmt.Errorf("%q is no name for a file", h.Name[:min(len(h.Name), 200)])
	}
	root, err := u.root(place)
	if err != nil {
		return err
	}
	if root == nil {
		return nil // a build elsewhere has such a place, this one has not
	}
	if _, err := root.Lstat(name); err == nil {
		if h.Typeflag != tar.TypeDir {
			u.left++
		}
		return nil
	}
	switch h.Typeflag {
	case tar.TypeDir:
		err = u.mkdir(root, name, fs.FileMode(h.Mode)&0o777|0o700)
	case tar.TypeSymlink:
		err = u.link(root, name, h.Linkname)
	case tar.TypeReg:
		err = u.file(root, name, h)
	default:
		err = errors.New("it is neither a file, a directory nor a symbolic link")
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (u *unpacking) root(name string) (*os.Root, error) {
	if root, ok := u.roots[name]; ok {
		return root, nil
	}
	for _, p := range u.keeper.Places {
		if p.Name != name {
			continue
		}
		root, err := os.OpenRoot(p.Dir)
		if err == nil {
			u.roots[name] = root
		}
		return root, err
	}
	return nil, nil
}

// mkdir makes a directory and those above it, for the owner.
func (u *unpacking) mkdir(root *os.Root, name string, mode fs.FileMode) error {
	at := filepath.Join(root.Name(), name)
	if name == "." || u.made[at] {
		return nil
	}
	if err := u.mkdir(root, path.Dir(name), 0o755); err != nil {
		return err
	}
	err := root.Mkdir(name, mode)
	u.made[at] = err == nil || errors.Is(err, fs.ErrExist)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return u.own(root, name)
}

func (u *unpacking) own(root *os.Root, name string) error {
	if u.keeper.Owner < 0 {
		return nil
	}
	return root.Lchown(name, u.keeper.Owner, u.keeper.Owner)
}

func (u *unpacking) link(root *os.Root, name, to string) error {
	if to == "" || len(to) > 4096 || path.IsAbs(to) || !filepath.IsLocal(path.Join(path.Dir(name), to)) {
		return errors.New("the link leads out of its place")
	}
	if err := u.mkdir(root, path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := root.Symlink(to, name); err != nil {
		return err
	}
	u.links = append(u.links, link{root, name})
	u.files++
	return u.own(root, name)
}

func (u *unpacking) file(root *os.Root, name string, h *tar.Header) error {
	if u.bytes -= h.Size; h.Size < 0 || u.bytes < 0 {
		return fmt.Errorf("the files are larger than %d MB", u.keeper.Limits.Bytes>>20)
	}
	if err := u.mkdir(root, path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode)&0o777 | 0o600 // no other bit is kept
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, u.archive, u.buffer)
	if err == nil {
		err = f.Chmod(mode) // the umask took its part
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	u.files++
	// Compilers and build tools compare times.
	if err := root.Chtimes(name, h.ModTime, h.ModTime); err != nil {
		return err
	}
	return u.own(root, name)
}

// check follows each link and removes those that lead out of their place after
// all, through other links.
func (u *unpacking) check() error {
	var all error
	for _, l := range u.links {
		if _, err := l.root.Stat(l.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, fmt.Errorf("the link %s leads out of its place", l.name), l.root.Remove(l.name))
		}
	}
	return all
}
