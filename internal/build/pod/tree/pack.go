// Package tree carries trees of files over a connection, as a compressed tar
// stream: the source into a Pod, and what the build has made of it back. Its
// noun is the tree. Both the server and the runner in the Pod use it; neither
// trusts what the other sends: nothing is written outside the directory that
// is given, whatever the names and the links say.
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

	"github.com/klauspost/compress/zstd"
)

// Packer writes a stream: some texts, then trees, each below a name. Close it.
type Packer struct {
	zipped  *zstd.Encoder
	archive *tar.Writer
	buffer  []byte
}

// NewPacker begins a stream.
func NewPacker(w io.Writer) (*Packer, error) {
	// The stream goes through the API server: what is saved there is worth more
	// than the processor's time at this level.
	zipped, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("pack files: %w", err)
	}
	return &Packer{zipped: zipped, archive: tar.NewWriter(zipped), buffer: make([]byte, 256<<10)}, nil
}

// Text adds a file with that content.
func (p *Packer) Text(name string, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(content)), Format: tar.FormatPAX}
	if err := p.archive.WriteHeader(header); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	if _, err := p.archive.Write(content); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

// Tree adds what is below dir, under that name: directories, files and links
// as such. What is neither is left out, and so is each file or link for which
// unchanged, when it is not nil, says so.
func (p *Packer) Tree(name, dir string, unchanged func(below string, info fs.FileInfo) bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(below string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !entry.IsDir() && unchanged != nil && unchanged(below, info) {
			return nil
		}
		return p.entry(root, path.Join(name, below), below, info)
	})
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

func (p *Packer) entry(root *os.Root, name, below string, info fs.FileInfo) error {
	header := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	switch {
	case info.IsDir():
		header.Typeflag = tar.TypeDir
		return p.archive.WriteHeader(header)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := root.Readlink(filepath.FromSlash(below))
		if err != nil {
			return err
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, target
		return p.archive.WriteHeader(header)
	case !info.Mode().IsRegular():
		return nil
	}
	file, err := open(root, filepath.FromSlash(below), info.Mode().Perm())
	if err != nil {
		return err
	}
	defer file.Close()
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := p.archive.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{p.archive}, io.LimitReader(file, header.Size), p.buffer)
	if err == nil && n < header.Size {
		return fmt.Errorf("%s has become shorter while it was read", below)
	}
	return err
}

// open opens a file, also one that its owner has closed to itself.
func open(root *os.Root, below string, mode fs.FileMode) (*os.File, error) {
	file, err := root.Open(below)
	if !errors.Is(err, fs.ErrPermission) || root.Chmod(below, mode|0o400) != nil {
		return file, err
	}
	file, err = root.Open(below)
	return file, errors.Join(err, root.Chmod(below, mode))
}

// Close ends the stream.
func (p *Packer) Close() error {
	if err := errors.Join(p.archive.Close(), p.zipped.Close()); err != nil {
		return fmt.Errorf("pack files: %w", err)
	}
	return nil
}
