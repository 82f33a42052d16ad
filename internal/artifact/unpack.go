package artifact

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/flate"
)

// Unpack writes the files of an artifact into dir, which it creates when it is
// missing. The bytes are checked against the digest before the first file is
// written. An archive may come from anywhere: names and links that lead out of
// dir, anything but files, directories and links, entries that appear twice,
// and more files or bytes than the limits allow are refused. After an error
// dir may hold a part of the files.
func (s *Store) Unpack(ctx context.Context, digest, dir string) error {
	f, size, err := s.verified(ctx, digest)
	if err != nil {
		return fmt.Errorf("unpack artifact %s: %w", digest, err)
	}
	defer f.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("unpack artifact %s: %w", digest, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack artifact %s: %w", digest, err)
	}
	defer root.Close()
	u := unpacking{root: root, limits: s.limits, seen: map[string]bool{}, made: map[string]bool{".": true}}
	if err := u.archive(ctx, f, size); err != nil {
		return fmt.Errorf("unpack artifact %s into %s: %w", digest, dir, explain(err, dir))
	}
	return nil
}

// verified returns an archive as a file whose bytes have the digest.
func (s *Store) verified(ctx context.Context, digest string) (*os.File, int64, error) {
	r, _, err := s.Open(ctx, digest)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	f, copied, err := s.local(digest)
	if err != nil {
		return nil, 0, err
	}
	sum := sha256.New()
	to := io.Writer(sum)
	if copied {
		to = io.MultiWriter(sum, f)
	}
	size, err := io.Copy(to, r)
	if err != nil {
		_ = f.Close()
		return nil, 0, s.explain(err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != digest {
		_ = f.Close()
		return nil, 0, fmt.Errorf("the stored bytes are damaged: their digest is %s; run the action that made the artifact again", got)
	}
	return f, size, nil
}

// local returns the file to read an archive at random from: the store's own,
// or an unnamed temporary one (copied == true) that the caller fills.
func (s *Store) local(digest string) (f *os.File, copied bool, err error) {
	if s.dir == "" {
		f, err = os.CreateTemp(s.temp, "archive-*")
		if err == nil {
			err = os.Remove(f.Name())
		}
		return f, true, err
	}
	k, err := key(digest)
	if err != nil {
		return nil, false, err
	}
	f, err = os.Open(filepath.Join(s.dir, filepath.FromSlash(k)))
	return f, false, err
}

// unpacking is the reading of one archive.
type unpacking struct {
	root   *os.Root
	limits Limits
	seen   map[string]bool // names of files and links written
	made   map[string]bool // names of directories
	links  []string        // names of links, in order
	bytes  int64           // written so far
}

// directoryEntry is what one entry of an archive's directory takes at most on
// average, in bytes: its fixed part and a generous name.
const directoryEntry = 512

func (u *unpacking) archive(ctx context.Context, r io.ReaderAt, size int64) error {
	// Opening reads the whole directory into memory, before any count can be
	// compared with a limit, so the reading itself is limited.
	budget := &budgetReader{r: r, left: int64(u.limits.Files)*directoryEntry + 1<<20}
	zr, err := zip.NewReader(budget, size)
	if err != nil {
		return fmt.Errorf("read the archive's directory: %w", err)
	}
	budget.off = true
	if len(zr.File) > u.limits.Files {
		return fmt.Errorf("the archive has %d entries and the limit is %d", len(zr.File), u.limits.Files)
	}
	zr.RegisterDecompressor(zip.Deflate, flate.NewReader)
	for _, f := range zr.File {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := u.entry(f); err != nil {
			return fmt.Errorf("entry %q: %w", f.Name, err)
		}
	}
	if err := u.link(zr); err != nil {
		return errors.Join(err, u.unlink())
	}
	return nil
}

// entry writes a file or directory and remembers a link. Links come last, so
// that nothing is ever written through one of this archive.
func (u *unpacking) entry(f *zip.File) error {
	name, err := clean(f)
	if err != nil {
		return err
	}
	mode := f.Mode()
	if f.Flags&1 != 0 {
		return errors.New("it is encrypted")
	}
	if mode.IsDir() || strings.HasSuffix(f.Name, "/") {
		if name == "." {
			return nil
		}
		return u.mkdir(name)
	}
	if name == "." || u.seen[name] || u.made[name] {
		return errors.New("its name appears twice")
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	u.seen[name] = true
	switch {
	case mode&fs.ModeSymlink != 0:
		u.links = append(u.links, name)
		return nil
	case mode.IsRegular():
		return u.file(f, name)
	}
	return fmt.Errorf("it is neither a file, a directory nor a symbolic link (%s)", mode)
}

// clean checks a name from an archive and gives it the plain form.
func clean(f *zip.File) (string, error) {
	const unix = 3 // where a backslash is a letter, not a separator
	name := f.Name
	switch {
	case name == "" || strings.ContainsRune(name, 0) ||
		strings.ContainsRune(name, '\\') && f.CreatorVersion>>8 != unix:
		return "", errors.New("its name is not a path with forward slashes")
	case len(name) > 4096:
		return "", errors.New("its name is longer than a path can be")
	case !filepath.IsLocal(strings.TrimSuffix(name, "/")):
		return "", errors.New("its name leads out of the directory")
	}
	return path.Clean(name), nil
}

// mkdir makes a directory and those above it. Their modes are not the
// archive's: one that its owner cannot write could not be filled.
func (u *unpacking) mkdir(name string) error {
	if u.made[name] {
		return nil
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if u.seen[name] {
		return fmt.Errorf("%s is a file and a directory at once", name)
	}
	if len(u.made) > u.limits.Files {
		return fmt.Errorf("the archive has more than %d directories", u.limits.Files)
	}
	err := u.root.Mkdir(name, 0o755)
	if err == nil {
		err = u.root.Chmod(name, 0o755) // the umask took its part
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	u.made[name] = true
	return nil
}

func (u *unpacking) file(f *zip.File, name string) error {
	left := u.limits.Bytes - u.bytes
	if f.UncompressedSize64 > uint64(left) {
		return u.tooLarge()
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := u.create(name, f.Mode().Perm())
	if err != nil {
		return err
	}
	// One byte more than allowed shows that the size it declares is a lie.
	n, err := io.Copy(w, io.LimitReader(r, left+1))
	u.bytes += n
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	if n > left {
		return u.tooLarge()
	}
	return nil
}

func (u *unpacking) tooLarge() error {
	return fmt.Errorf("the files of the archive are larger than the limit of %d bytes", u.limits.Bytes)
}

// create makes a new file, in place of one that an earlier attempt left. The
// owner can always read and write it, and no bits but permissions are taken
// over: an archive makes nothing run as somebody else.
func (u *unpacking) create(name string, perm fs.FileMode) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	perm = perm&0o777 | 0o600
	w, err := u.root.OpenFile(name, flags, perm)
	if errors.Is(err, fs.ErrExist) {
		if err := u.root.Remove(name); err != nil {
			return nil, err
		}
		w, err = u.root.OpenFile(name, flags, perm)
	}
	if err != nil {
		return nil, err
	}
	if err := w.Chmod(perm); err != nil { // the umask took its part
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// link makes the symbolic links and then follows each: the root refuses to be
// left, by whatever chain of links.
func (u *unpacking) link(zr *zip.Reader) error {
	byName := map[string]*zip.File{}
	for _, f := range zr.File {
		if name, err := clean(f); err == nil {
			byName[name] = f
		}
	}
	for _, name := range u.links {
		if err := u.symlink(byName[name], name); err != nil {
			return fmt.Errorf("entry %q: %w", name, err)
		}
	}
	for _, name := range u.links {
		if _, err := u.root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("entry %q: its link cannot be followed inside the directory: %w", name, err)
		}
	}
	return nil
}

func (u *unpacking) symlink(f *zip.File, name string) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 4097))
	if err != nil {
		return err
	}
	target := string(text)
	switch {
	case target == "" || len(target) > 4096 || strings.ContainsRune(target, 0):
		return errors.New("its link is not a path")
	case path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)):
		return fmt.Errorf("its link to %q leads out of the directory", target)
	}
	if err := u.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return u.root.Symlink(target, name)
}

// unlink removes the links again, so that a refused archive leaves no way out.
func (u *unpacking) unlink() error {
	var all error
	for _, name := range u.links {
		if err := u.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// budgetReader fails once more bytes were read than the budget has.
type budgetReader struct {
	r    io.ReaderAt
	left int64
	off  bool
}

func (b *budgetReader) ReadAt(p []byte, off int64) (int, error) {
	if !b.off {
		if b.left -= int64(len(p)); b.left < 0 {
			return 0, errors.New("it is larger than the limit on entries allows")
		}
	}
	return b.r.ReadAt(p, off)
}
