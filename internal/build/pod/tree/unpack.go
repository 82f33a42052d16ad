package tree

import (
	"archive/tar"
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

// The bounds of what is unpacked, where nobody says otherwise.
const (
	defaultBytes   = 32 << 30
	defaultEntries = 4 << 20
	longestText    = 64 << 20
	longestName    = 4096
	zstdMemory     = 64 << 20
)

// refusal is an error that lies in what was sent, not in the connection.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// IsRefusal tells that a stream was not taken for what it holds: to send it
// again would change nothing.
func IsRefusal(err error) bool {
	_, ok := errors.AsType[refusal](err)
	return ok
}

// Limits bound what Unpack writes. Zero values are the defaults: 32 GiB, and
// four million files.
type Limits struct {
	Bytes   int64
	Entries int
}

// Unpacker reads a stream that a Packer has written. Close it.
type Unpacker struct {
	zipped  *zstd.Decoder
	archive *tar.Reader
	bytes   int64 // that may still come
	most    int64
	entries int
	buffer  []byte
}

// NewUnpacker begins to read a stream.
func NewUnpacker(r io.Reader, limits Limits) (*Unpacker, error) {
	zipped, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMemory))
	if err != nil {
		return nil, fmt.Errorf("unpack files: %w", err)
	}
	if limits.Bytes == 0 {
		limits.Bytes = defaultBytes
	}
	if limits.Entries == 0 {
		limits.Entries = defaultEntries
	}
	return &Unpacker{zipped: zipped, archive: tar.NewReader(zipped), bytes: limits.Bytes, most: limits.Bytes, entries: limits.Entries, buffer: make([]byte, 256<<10)}, nil
}

// Close lets go of the decoder.
func (u *Unpacker) Close() { u.zipped.Close() }

// Text reads the text that the stream begins or goes on with, which must have
// that name.
func (u *Unpacker) Text(name string) ([]byte, error) {
	header, err := u.archive.Next()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", name, unexpected(err))
	}
	if header.Name != name || header.Typeflag != tar.TypeReg || header.Size > longestText {
		return nil, fmt.Errorf("unpack %s: the stream has something else there", name)
	}
	text, err := io.ReadAll(u.archive)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", name, unexpected(err))
	}
	return text, nil
}

// Trees writes all that is left of the stream: what is packed under each of the
// names goes into its directory, which is there. Anything else is an error, and
// so is a name or a link that leads out of its directory. Files replace what
// has their name; owners are not kept, and who unpacks may always read what is
// written.
func (u *Unpacker) Trees(into map[string]string) error {
	roots := map[string]*os.Root{}
	defer func() {
		for _, root := range roots {
			_ = root.Close()
		}
	}()
	for {
		header, err := u.archive.Next()
		if errors.Is(err, io.EOF) && len(roots) > 0 { // a tree has itself at least
			return u.end()
		}
		if err != nil {
			return fmt.Errorf("unpack files: %w", unexpected(err))
		}
		if u.entries--; u.entries < 0 {
			return refuse("unpack files: there are too many")
		}
		name, below, err := place(header.Name, into)
		if err != nil {
			return err
		}
		if roots[name] == nil {
			if roots[name], err = os.OpenRoot(into[name]); err != nil {
				return fmt.Errorf("unpack files: %w", err)
			}
		}
		if err := u.entry(roots[name], below, header); err != nil {
			return fmt.Errorf("unpack %s: %w", clip(header.Name), err)
		}
	}
}

// end reads what is behind the archive, so that a stream which was cut off is
// not taken for a whole one.
func (u *Unpacker) end() error {
	rest, err := io.Copy(io.Discard, io.LimitReader(u.zipped, 1<<20))
	if err != nil {
		return fmt.Errorf("unpack files: %w", unexpected(err))
	}
	if rest == 1<<20 {
		return refuse("unpack files: the stream does not end with its files")
	}
	return nil
}

// place says to which of the trees a name belongs, and the path below it.
func place(name string, into map[string]string) (tree, below string, err error) {
	name = strings.TrimSuffix(name, "/")
	if len(name) > longestName || !filepath.IsLocal(filepath.FromSlash(name)) || name != path.Clean(name) {
		return "", "", refuse("unpack %q: that is no name for a file", clip(name))
	}
	for tree := range into {
		if name == tree {
			return tree, ".", nil
		}
		if below, ok := strings.CutPrefix(name, tree+"/"); ok {
			return tree, filepath.FromSlash(below), nil
		}
	}
	return "", "", refuse("unpack %q: nobody has asked for that", clip(name))
}

func clip(name string) string { return name[:min(len(name), 200)] }

// entry writes one directory, file or link.
func (u *Unpacker) entry(root *os.Root, below string, header *tar.Header) error {
	mode := fs.FileMode(header.Mode) & fs.ModePerm
	switch header.Typeflag {
	case tar.TypeDir:
		return directory(root, below, mode|0o700)
	case tar.TypeSymlink:
		if below == "." || header.Linkname == "" || len(header.Linkname) > longestName {
			return refuse("it is no link that could be made")
		}
		if err := makeRoom(root, below); err != nil {
			return err
		}
		return root.Symlink(header.Linkname, below)
	case tar.TypeReg:
		return u.file(root, below, mode|0o600, header)
	}
	return refuse("it is neither a directory nor a file nor a link")
}

func directory(root *os.Root, below string, mode fs.FileMode) error {
	if below == "." {
		return nil // the tree's own is as it was made
	}
	info, err := root.Lstat(below)
	if err == nil && !info.IsDir() {
		if err := root.Remove(below); err != nil {
			return err
		}
	}
	if err := root.MkdirAll(below, 0o700); err != nil {
		return err
	}
	return root.Chmod(below, mode)
}

// makeRoom makes room for a file or a link.
func makeRoom(root *os.Root, below string) error {
	if err := root.RemoveAll(below); err != nil {
		return err
	}
	return root.MkdirAll(filepath.Dir(below), 0o755)
}

func (u *Unpacker) file(root *os.Root, below string, mode fs.FileMode, header *tar.Header) error {
	if below == "." || header.Size < 0 {
		return refuse("it is no file that could be made")
	}
	if u.bytes -= header.Size; u.bytes < 0 {
		return refuse("the files are too large altogether: more than %d bytes", u.most)
	}
	if err := makeRoom(root, below); err != nil {
		return err
	}
	file, err := root.OpenFile(below, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, u.archive, u.buffer)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err := errors.Join(unexpected(err), file.Close()); err != nil {
		return err
	}
	if header.ModTime.IsZero() {
		return nil
	}
	return root.Chtimes(below, header.ModTime, header.ModTime)
}

// unexpected is an error in the middle of a stream: an end there is no end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
